"""A conversation as chat templates take it: messages and tools in the form of OpenAI's API."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from hermes_cli.chat.message import Message
from hermes_cli.chat.tool_call import ToolCall, ToolSchema
from hermes_cli.formats.function_calling import response_texts, without_tools
from hermes_cli.formats.tool_call_parser import ToolCallParser

Fields = dict[str, Any]


Text = Callable[[Message], str]


def plain_messages(messages: Iterable[Message], text: Text) -> list[Fields]:
    """Role and `text` of every message; what the model thought is a field of its own."""
    return [_fields(one, text(one)) for one in messages]


def structured_messages(messages: Iterable[Message], text: Text) -> tuple[list[Fields], list[Fields] | None]:
    """The messages with calls and results as fields, and the tools that the system prompt offers, if it does.

    `text` gives the content of a message that has neither.
    """
    written: list[Fields] = []
    tools: list[ToolSchema] = []
    for message in messages:
        if message.role == "system" and message.tools:
            own = without_tools(message.tools, message.content)
            tools += message.tools if own is not None else ()
            if own is None or own:
                written.append(_fields(message, text(message) if own is None else plain(own)))
        elif message.role == "assistant":
            written.append(_answer(message, text))
        elif message.role == "tool":
            written += _results(message, text)
        else:
            written.append(_fields(message, text(message)))
    return written, [{"type": "function", "function": plain(tool.function)} for tool in tools] or None


def without_roles(messages: Iterable[Fields], missing: Collection[str]) -> list[Fields]:
    """The messages for a template that does not write some roles.

    A system prompt is put before the next user message, and tool results become user messages.
    """
    written: list[Fields] = []
    system: list[str] = []
    for message in messages:
        role, content = message["role"], message["content"]
        if role == "system" and role in missing:
            system.append(content)
            continue
        said_by_user = role == "user" or (role == "tool" and role in missing)
        if system and said_by_user:
            content, system = "\n\n".join([*system, content]), []
        written.append({**message, "role": "user", "content": content} if said_by_user else message)
    if system:
        written.append({"role": "user", "content": "\n\n".join(system)})
    return written


def _fields(message: Message, content: str) -> Fields:
    fields: Fields = {"role": message.role, "content": content}
    if message.thinking:
        # Templates read the one or the other of these.
        fields |= {"reasoning_content": plain(message.thinking), "thinking": plain(message.thinking)}
    return fields


def _answer(message: Message, text: Text) -> Fields:
    parser = ToolCallParser()
    found = parser.feed(message.content) + parser.finish()
    calls = [one for one in found if isinstance(one, ToolCall)]
    if not calls or len(calls) < sum(not isinstance(one, str) for one in found):
        return _fields(message, text(message))
    beside = "".join(one for one in found if isinstance(one, str)).strip()
    return _fields(message, plain(beside)) | {"tool_calls": [_call(index, call) for index, call in enumerate(calls)]}


def _call(index: int, call: ToolCall) -> Fields:
    function = {"name": call.name, "arguments": dict(call.arguments)}
    return {"id": _id(index), "type": "function", "function": plain(function)}


def _results(message: Message, whole: Text) -> Iterator[Fields]:
    texts = response_texts(message)
    if not texts or len(texts) != len(message.tool_results):
        yield _fields(message, whole(message))
        return
    for index, (text, result) in enumerate(zip(texts, message.tool_results, strict=True)):
        yield _fields(message, plain(text)) | {"name": plain(result.call.name), "tool_call_id": _id(index)}


def _id(index: int) -> str:
    """Nine letters and digits, as the strictest templates demand."""
    return f"call{index:05}"


def plain(value: Any) -> Any:
    """The value without half characters, which UTF-8 cannot write and the marks of a template are made of."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value
