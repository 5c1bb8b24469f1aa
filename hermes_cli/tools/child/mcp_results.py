"""Converts results of MCP servers to JSON for the model: text and structured content; binary data by name."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    ReadResourceResult,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)

from hermes_cli.errors import shortened
from hermes_cli.tools.results import LIMIT_CHARACTERS, limited

_LARGEST_SCHEMA = 100_000  # characters


def answer_of(result: CallToolResult) -> dict[str, Any]:
    """The `value` of a call, or its `error`."""
    text = "\n".join(map(_written, result.content))
    if result.is_error:
        return {"error": shortened(text, LIMIT_CHARACTERS) or "the tool failed without a message"}
    if result.structured_content is None:
        return {"value": limited(_parsed(text))}
    # Most servers send structured content as text too, for clients that know no other.
    others = [block for block in result.content if not isinstance(block, TextContent)]
    value: Any = result.structured_content
    return {"value": limited({"result": value, "content": _all(others)} if others else value)}


def resource_of(result: ReadResourceResult) -> dict[str, Any]:
    """The `value` of a resource, its text; an `error` where it has none."""
    texts = [one.text for one in result.contents if isinstance(one, TextResourceContents)]
    if not texts:
        return {"error": f"it is not text: {' '.join(map(_resource, result.contents)) or 'it is empty'}"}
    return {"value": "\n".join(texts)}


def prompt_of(result: GetPromptResult) -> dict[str, Any]:
    """The `value` of a prompt: the text of its messages, with their roles where there are several."""
    named = len({message.role for message in result.messages}) > 1
    texts = [
        f"{message.role.capitalize()}: {_written(message.content)}" if named else _written(message.content)
        for message in result.messages
    ]
    return {"value": "\n\n".join(texts)}


def described(tool: Tool) -> dict[str, Any]:
    """A tool's definition as its server sent it; without `parameters` where they are too large for any context."""
    annotations: Mapping[str, Any] = tool.annotations.model_dump(exclude_none=True) if tool.annotations else {}
    return {
        "name": tool.name,
        "description": shortened(tool.description or tool.title or "", LIMIT_CHARACTERS),
        "parameters": tool.input_schema if len(json.dumps(tool.input_schema)) <= _LARGEST_SCHEMA else None,
        "annotations": annotations,
    }


def _all(blocks: Iterable[Any]) -> list[str]:
    return [_written(block) for block in blocks]


def _written(block: Any) -> str:
    match block:
        case TextContent(text=text):
            return text
        case ImageContent() | AudioContent():
            kind = "picture" if isinstance(block, ImageContent) else "sound"
            return f"[{kind} {block.mime_type}, {len(block.data) * 3 // 4:,} bytes: cannot be shown to the model]"
        case EmbeddedResource(resource=resource):
            return _resource(resource)
        case ResourceLink(name=name, uri=uri):
            return f"[resource {name}: {uri}]"
    return "[content of an unknown kind]"


def _resource(resource: Any) -> str:
    if isinstance(resource, TextResourceContents):
        return resource.text
    kind = resource.mime_type or "binary data"
    return f"[{resource.uri}, {kind}, {len(resource.blob) * 3 // 4:,} bytes: cannot be shown to the model]"


def _parsed(text: str) -> Any:
    """JSON objects and lists as such, everything else as text."""
    with suppress(ValueError, RecursionError):
        value = json.loads(text)
        if isinstance(value, dict | list):
            return value
    return text
