"""Function calling as Hermes 3 was trained on it: the tools prompt, calls and results as text.

The tools prompt follows the model's own `tool_use` chat template byte for byte wherever that template is well defined.
Where it is not (several types, arrays, `anyOf`, missing descriptions or parameters) it writes what the template meant.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hermes_cli.chat.message import Message
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.formats.tags import CALL_END, CALL_START, RESPONSE_END, RESPONSE_START, TOOLS_END, TOOLS_START

_PYTHON_TYPES = {"string": "str", "number": "float", "integer": "int", "boolean": "bool", "null": "None"}

_RESPONSE = re.compile(f"^{RESPONSE_START}\n(.*)\n{RESPONSE_END}$", re.MULTILINE)

TOOLS_PLACE = "{{tools}}"
_INTRODUCTION = (
    "You are a function calling AI model. "
    f"You are provided with function signatures within {TOOLS_START}{TOOLS_END} XML tags. "
    "You may call one or more functions to assist with the user query. "
    f"Don't make assumptions about what values to plug into functions. Here are the available tools: {TOOLS_START} "
)
_INSTRUCTIONS = (
    f" {TOOLS_END}Use the following pydantic model json schema for each tool call you will make: "
    '{"properties": {"name": {"title": "Name", "type": "string"}, '
    '"arguments": {"title": "Arguments", "type": "object"}}, '
    '"required": ["name", "arguments"], "title": "FunctionCall", "type": "object"}}\n'
    "For each function call return a json object with function name and arguments "
    f"within {CALL_START}{CALL_END} XML tags as follows:\n"
    f'{CALL_START}\n{{"name": <function-name>, "arguments": <args-dict>}}\n{CALL_END}'
)


def tools_prompt(tools: Iterable[Mapping[str, Any]]) -> str:
    """The system text that offers `tools`, given as OpenAI-style function schemas (bare or under `function`)."""
    return _INTRODUCTION + "\n".join(_entry(tool.get("function", tool)) for tool in tools) + _INSTRUCTIONS


def system_text(tools: Sequence[ToolSchema], system_prompt: str = "") -> str:
    """The system text of a chat with tools: the tools prompt, then the user's own prompt after a blank line.

    In a prompt with `{{tools}}` the tools are listed there as Python writes them, the trained way.
    """
    if TOOLS_PLACE in system_prompt:
        return system_prompt.replace(TOOLS_PLACE, repr([_listed(tool) for tool in tools]))
    offered = tools_prompt(tool.function for tool in tools) if tools else ""
    return "\n\n".join(filter(None, (offered, system_prompt)))


def tools_listing(tools: Sequence[ToolSchema], system_text: str) -> str:
    """The part of a `system_text` that lists the tools: descriptions that others may have written."""
    listings = ("\n".join(_entry(tool.function) for tool in tools), repr([_listed(tool) for tool in tools]))
    return next((text for text in listings if tools and text in system_text), "")


def without_tools(tools: Sequence[ToolSchema], system_text: str) -> str | None:
    """A `system_text` without its tools; None if it lists the tools in a way of its own."""
    before, offered, after = system_text.partition(tools_prompt(tool.function for tool in tools))
    return "\n\n".join(filter(None, (before.removesuffix("\n\n"), after.removeprefix("\n\n")))) if offered else None


def response_texts(message: Message) -> list[str]:
    """The results in a message of the role "tool", each as the JSON inside its block."""
    return responses(message.content) if message.tool_results else []


def responses(text: str) -> list[str]:
    """The same for the text of a message."""
    return _RESPONSE.findall(text)


def _listed(tool: ToolSchema) -> dict[str, Any]:
    """A tool of a Python list; one that says what it returns has its signature in the description, as on the card."""
    description = tool.description if tool.returns is None else _signature(tool.function)
    function = {"name": tool.name, "description": description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def call_block(name: str, arguments: Mapping[str, Any]) -> str:
    """One call as the model writes it; its closing tag inside a value is escaped so that it cannot end the block."""
    text = _json({"name": name, "arguments": arguments}).replace(CALL_END, CALL_END.replace("/", "\\/"))
    return f"{CALL_START}\n{text}\n{CALL_END}"


def response_block(name: str, content: object) -> str:
    """One result as the model reads it; a closing tag inside the result is escaped so that it cannot end the block."""
    text = _json({"name": name, "content": content}).replace("</", "<\\/")
    return f"{RESPONSE_START}\n{text}\n{RESPONSE_END}"


def _entry(function: Mapping[str, Any]) -> str:
    """One function as the template lists it: its signature as the description, then its parameter schema."""
    parameters = function.get("parameters") or {}
    schema = _json(parameters) if parameters.get("properties") else "{}"
    name, text = function["name"], _signature(function)
    return f'{{"type": "function", "function": {{"name": "{name}", "description": "{text}", "parameters": {schema}}}'


def _signature(function: Mapping[str, Any]) -> str:
    """A function as Python documents it: name, types, description, arguments and result."""
    properties: Mapping[str, Any] = (function.get("parameters") or {}).get("properties") or {}
    returns = function.get("return")
    types = {key: _python_type(spec) for key, spec in properties.items()}

    text = f"{function['name']}({', '.join(f'{key}: {type_}' for key, type_ in types.items())})"
    if returns is not None:
        text += f" -> {_python_type(returns)}"
    text += f" - {function.get('description') or ''}\n\n"
    if properties:
        text += "    Args:\n"
    for key, spec in properties.items():
        text += f"        {key}({types[key]}): {_description(spec)}"
    if isinstance(returns, Mapping) and returns.get("description") is not None:
        text += f"\n    Returns:\n        {returns['description']}"
    return text


def _description(spec: Mapping[str, Any] | bool) -> str:
    return "" if isinstance(spec, bool) else str(spec.get("description", "")).strip()


def _python_type(spec: Mapping[str, Any] | bool) -> str:
    """A JSON Schema as a Python type annotation, the way the trained signatures name types."""
    if isinstance(spec, bool):
        return "Any"
    kind = spec.get("type")
    if isinstance(kind, list):
        return f"Union[{','.join(_python_type({'type': one}) for one in kind)}]"
    if kind in _PYTHON_TYPES:
        return _PYTHON_TYPES[kind]
    if kind == "array":
        items = spec.get("items")
        return f"list[{_python_type(items)}]" if isinstance(items, Mapping) else "list"
    if kind == "object":
        values = spec.get("additionalProperties")
        return f"dict[str, {_python_type(values)}]" if isinstance(values, Mapping) else "dict"
    choices = spec.get("anyOf") or spec.get("oneOf")
    if choices:
        return f"Union[{','.join(_python_type(choice) for choice in choices)}]"
    return "Any"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
