"""Messages of the API in the model's trained form; pure functions."""

import json
from collections.abc import Sequence
from typing import Any

from hermes_cli.chat.message import Message
from hermes_cli.formats.function_calling import call_block, response_block
from hermes_cli.server.protocol.api_error import invalid
from hermes_cli.server.protocol.fields import ChatMessage, Part


def chat_messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """The messages in the model's trained form; results of tools in a row become one message. Raises ApiError."""
    result: list[Message] = []
    names: dict[str, str] = {}
    blocks: list[str] = []
    for place, message in enumerate(messages):
        text = _text(message.content, f"messages.{place}.content")
        if message.role in ("tool", "function"):
            name = message.name or names.get(message.tool_call_id or "", "unknown")
            blocks.append(response_block(name, _value(text)))
            continue
        if blocks:
            result.append(Message("tool", "\n".join(blocks)))
            blocks = []
        if message.role == "assistant":
            calls = message.tool_calls or []
            names |= {call.id: call.function.name for call in calls if call.id}
            functions = filter(None, [*(call.function for call in calls), message.function_call])
            written = [call_block(one.name, _arguments(one.arguments)) for one in functions]
            result.append(Message("assistant", "\n".join(filter(None, [text, *written]))))
        elif message.role == "user":
            result.append(Message("user", text))
        else:
            result.append(Message("system", text))
    if blocks:
        result.append(Message("tool", "\n".join(blocks)))
    return tuple(result)


def _text(content: str | list[Part] | None, place: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    for part in content:
        if part.type not in ("text", "input_text", "output_text") or part.text is None:
            raise invalid(f"content parts of type {part.type} are not supported", place)
    return "".join(part.text or "" for part in content)


def _value(text: str) -> Any:
    """A tool's result: the JSON object or list that the text is, else the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) else text


def _arguments(arguments: str | dict[str, Any] | None) -> dict[str, Any]:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            raise invalid("the arguments of a call must be a JSON object", "messages") from None
    if arguments is not None and not isinstance(arguments, dict):
        raise invalid("the arguments of a call must be a JSON object", "messages")
    return arguments or {}
