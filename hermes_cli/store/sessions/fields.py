"""Messages and settings as JSON objects, and read back from them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, get_args

from hermes_cli.chat.message import FinishReason, Message, Role
from hermes_cli.chat.sampling import SAMPLING_KEYS, Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.tool_call import ToolCall, ToolResult

_SETTINGS = ("model", "preset", "sampling", "max_tokens", "endpoint", "lora", "mcp")


class Malformed(ValueError):
    """A line that is not a record, or a record with a wrong value."""


def message_fields(message: Message) -> dict[str, Any]:
    """A message as JSON holds it."""
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        fields["thinking"] = message.thinking
    if message.finish_reason:
        fields["finish_reason"] = message.finish_reason
    if message.tool_results:
        fields["tool_results"] = [result_fields(result) for result in message.tool_results]
    return fields


def result_fields(result: ToolResult) -> dict[str, Any]:
    """A tool call and its result, as JSON holds them."""
    outcome = {"result": result.value} if result.error is None else {"error": result.error}
    return {"name": result.call.name, "arguments": result.call.arguments, "approved": result.approved, **outcome}


def message_from(fields: Any) -> Message:
    """The message in a JSON object. Raises Malformed."""
    if not isinstance(fields, dict):
        raise Malformed("has a message that is not an object")
    reason = fields.get("finish_reason")
    return Message(
        one_of(fields.get("role"), get_args(Role)),
        text_in(fields.get("content")),
        reason if reason in get_args(FinishReason) else None,
        _results(fields.get("tool_results", [])),
        text_in(fields.get("thinking", "")),
    )


def _results(entries: Any) -> tuple[ToolResult, ...]:
    """The tool results that can be read; the message holds their text too."""
    found: list[ToolResult] = []
    for entry in entries if isinstance(entries, list) else []:
        match entry:
            case {"name": str(name), "arguments": dict(arguments), "approved": bool(approved), "error": str(error)}:
                found.append(ToolResult(ToolCall(name, arguments), approved, error=error))
            case {"name": str(name), "arguments": dict(arguments), "approved": bool(approved), "result": value}:
                found.append(ToolResult(ToolCall(name, arguments), approved, value))
    return tuple(found)


def settings_fields(settings: SessionSettings, system_prompt: str | None) -> dict[str, Any]:
    """The settings as JSON holds them. Without the seed, which each turn records for itself."""
    sampling = {name: value for name, value in asdict(settings.sampling).items() if value is not None}
    sampling.pop("seed", None)
    return {
        "model": settings.model,
        "preset": settings.preset,
        "system_prompt": system_prompt,
        "sampling": sampling,
        "max_tokens": settings.max_tokens,
        **({"endpoint": settings.endpoint} if settings.endpoint else {}),
        **({"lora": list(settings.lora)} if settings.lora is not None else {}),
        **({} if settings.mcp is None else {"mcp": list(settings.mcp)}),
        **({"prefill": settings.prefill} if settings.prefill else {}),
    }


def with_changes(
    settings: SessionSettings, system_prompt: str | None, fields: Mapping[str, Any]
) -> tuple[SessionSettings, str | None]:
    """Settings and system prompt after a change. Raises Malformed."""
    changed = checked_settings(fields)
    values = {name: changed.get(name, getattr(settings, name)) for name in _SETTINGS}
    new = SessionSettings(**values, prefill=changed.get("prefill"))  # written only where there is one
    return new, changed.get("system_prompt", system_prompt)


def checked_settings(fields: Any) -> dict[str, Any]:
    """The known settings among `fields`, `sampling` as a Sampling. Raises Malformed."""
    if not isinstance(fields, dict):
        raise Malformed("has settings that are not an object")
    found: dict[str, Any] = {}
    for name in ("model", "preset", "system_prompt", "endpoint", "prefill"):
        if name in fields:
            found[name] = None if fields[name] is None else text_in(fields[name])
    if "sampling" in fields:
        found["sampling"] = _sampling(fields["sampling"])
    if "max_tokens" in fields:
        limit = fields["max_tokens"]
        if limit is not None and (type(limit) is not int or not 0 < limit < 2**31):
            raise Malformed("has a wrong max_tokens")
        found["max_tokens"] = limit
    for name in ("lora", "mcp"):
        if name in fields:
            found[name] = _texts(name, fields[name])
    return found


def _texts(name: str, value: Any) -> tuple[str, ...] | None:
    if value is not None and not isinstance(value, list):
        raise Malformed(f"has a wrong {name}")
    return None if value is None else tuple(map(text_in, value))


def _sampling(fields: Any) -> Sampling:
    if not isinstance(fields, dict):
        raise Malformed("has no sampling")
    found: dict[str, Any] = {}
    for name, key in SAMPLING_KEYS.items():
        if fields.get(name) is not None:
            if not key.accepts(fields[name]):
                raise Malformed(f"has a wrong {name}")
            found[name] = key.checked(fields[name])
    return Sampling(**found)


def text_in(value: Any) -> str:
    """`value`, if it is text. Raises Malformed."""
    if not isinstance(value, str):
        raise Malformed("has a value that is not text")
    return value


def one_of(value: Any, known: tuple[Any, ...]) -> Any:
    """`value`, if it is one of the known words. Raises Malformed."""
    if not isinstance(value, str) or value not in known:
        raise Malformed("has an unknown word")
    return value
