"""The lines of a session's file: what each record says, and how it is written as JSON. The format: docs/sessions.md."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, get_args

from hermes_cli.chat.conversation import Standing, Turn
from hermes_cli.chat.events import Finished
from hermes_cli.chat.message import FinishReason, Message, Role
from hermes_cli.chat.request import SAMPLING_RANGES, Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.tool_call import ToolCall, ToolResult

VERSION = 1
NO_PARENT_KNOWN = -1
_MARK = "hermes_session"
_LARGEST_ID = 2**53
_SETTINGS = ("model", "preset", "sampling", "max_tokens")


class Malformed(ValueError):
    """A line that is not a record, or a record with a wrong value."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first record of a file; `origin` is the id of the session it was forked from."""

    id: str
    created: datetime | None
    settings: SessionSettings
    system_prompt: str | None
    origin: str | None = None
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class TurnAdded:
    """A turn after the turn `parent`, None at the beginning; `fields` is the whole record, unknown fields included."""

    turn: Turn
    parent: int | None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HeadMoved:
    """The conversation now ends with this turn; None: it is empty again."""

    turn_id: int | None


@dataclass(frozen=True, slots=True)
class StandingSet:
    """A turn was pinned, left out or kept."""

    turn_id: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class Titled:
    """The user named the session."""

    title: str


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """From here on other settings hold: `fields` as JSON holds them, what is not among them stays."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A record of a kind that a later program added."""


Record = Header | TurnAdded | HeadMoved | StandingSet | Titled | SettingsChanged | Unknown


def turn_added(turn: Turn, parent: int | None, model: str | None, finished: Finished | None, at: datetime) -> TurnAdded:
    """The record of a turn that ended now."""
    fields: dict[str, Any] = {"time": _written_time(at), "model": model}
    if finished:
        fields |= {"seed": finished.seed, "usage": asdict(finished.usage)}
    return TurnAdded(turn, parent, fields)


def encode(record: Record) -> bytes:
    """The record as one line, its end included."""
    text = json.dumps(_fields(record), ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, from bytes of the command line that are not UTF-8
        return json.dumps(_fields(record), separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Record:
    """The record in a line. Raises Malformed; a header of a later version is returned with nothing but that."""
    try:
        fields = json.loads(line.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed("is not JSON") from error
    if not isinstance(fields, dict):
        raise Malformed("is not a record")
    if _MARK in fields:
        return _header(fields)
    if "turn" in fields and "messages" in fields:
        return _turn(fields)
    if "turn" in fields and "standing" in fields:
        return StandingSet(_id(fields["turn"]), _one_of(fields["standing"], get_args(Standing)))
    if "head" in fields:
        return HeadMoved(None if fields["head"] is None else _id(fields["head"]))
    if "title" in fields:
        return Titled(_text(fields["title"]))
    if "settings" in fields:
        _settings(fields["settings"])
        return SettingsChanged(fields["settings"])
    return Unknown()


def message_fields(message: Message) -> dict[str, Any]:
    """A message as JSON holds it."""
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.finish_reason:
        fields["finish_reason"] = message.finish_reason
    if message.tool_results:
        fields["tool_results"] = [result_fields(result) for result in message.tool_results]
    return fields


def result_fields(result: ToolResult) -> dict[str, Any]:
    """A call and what came of it, as JSON holds them."""
    told = {"result": result.value} if result.error is None else {"error": result.error}
    return {"name": result.call.name, "arguments": result.call.arguments, "approved": result.approved, **told}


def message_from(fields: Any) -> Message:
    """The message in a JSON object. Raises Malformed."""
    if not isinstance(fields, dict):
        raise Malformed("has a message that is none")
    reason = fields.get("finish_reason")
    return Message(
        _one_of(fields.get("role"), get_args(Role)),
        _text(fields.get("content")),
        reason if reason in get_args(FinishReason) else None,
        _results(fields.get("tool_results", [])),
    )


def _results(entries: Any) -> tuple[ToolResult, ...]:
    """What calls led to; the message tells it too, so that what cannot be read here is left out."""
    found: list[ToolResult] = []
    for entry in entries if isinstance(entries, list) else []:
        match entry:
            case {"name": str(name), "arguments": dict(arguments), "approved": bool(approved), "error": str(error)}:
                found.append(ToolResult(ToolCall(name, arguments), approved, error=error))
            case {"name": str(name), "arguments": dict(arguments), "approved": bool(approved), "result": value}:
                found.append(ToolResult(ToolCall(name, arguments), approved, value))
    return tuple(found)


def settings_fields(settings: SessionSettings, system_prompt: str | None) -> dict[str, Any]:
    """The settings as JSON holds them. A seed belongs to one run, and each turn tells its own."""
    sampling = {name: value for name, value in asdict(settings.sampling).items() if value is not None}
    sampling.pop("seed", None)
    return {
        "model": settings.model,
        "preset": settings.preset,
        "system_prompt": system_prompt,
        "sampling": sampling,
        "max_tokens": settings.max_tokens,
    }


def with_changes(
    settings: SessionSettings, system_prompt: str | None, fields: Mapping[str, Any]
) -> tuple[SessionSettings, str | None]:
    """Settings and system prompt after a change. Raises Malformed."""
    changed = _settings(fields)
    new = SessionSettings(**{name: changed.get(name, getattr(settings, name)) for name in _SETTINGS})
    return new, changed.get("system_prompt", system_prompt)


def _fields(record: Record) -> dict[str, Any]:
    match record:
        case Header():
            fields = {_MARK: record.version, "id": record.id, "created": _written_time(record.created)}
            origin = {"forked_from": record.origin} if record.origin else {}
            return fields | origin | settings_fields(record.settings, record.system_prompt)
        case TurnAdded(turn, parent):
            standing = {} if turn.standing == "kept" else {"standing": turn.standing}
            # Messages that were read keep the fields that are unknown here.
            messages = record.fields.get("messages") or [message_fields(message) for message in turn.messages]
            own = ("turn", "parent", "messages", "standing")
            others = {name: value for name, value in record.fields.items() if name not in own}
            return {"turn": turn.id, "parent": parent} | others | standing | {"messages": messages}
        case HeadMoved(turn_id):
            return {"head": turn_id}
        case StandingSet(turn_id, chosen):
            return {"turn": turn_id, "standing": chosen}
        case Titled(title):
            return {"title": title}
        case SettingsChanged(changed):
            return {"settings": changed}
        case Unknown():
            return {}


def _header(fields: Mapping[str, Any]) -> Header:
    version = fields[_MARK]
    if type(version) is not int or version < 1:
        raise Malformed("has no format version")
    if version > VERSION:
        return Header("", None, SessionSettings(), None, version=version)
    settings, system_prompt = with_changes(SessionSettings(), None, fields)
    return Header(
        _text(fields.get("id")), _time(fields.get("created")), settings, system_prompt, fields.get("forked_from")
    )


def _turn(fields: Mapping[str, Any]) -> TurnAdded:
    messages = fields["messages"]
    if not isinstance(messages, list) or not messages:
        raise Malformed("has no messages")
    standing = _one_of(fields.get("standing", "kept"), get_args(Standing))
    turn = Turn(_id(fields["turn"]), tuple(map(message_from, messages)), standing)
    parent = fields.get("parent", NO_PARENT_KNOWN)
    return TurnAdded(turn, parent if parent is None or type(parent) is int else NO_PARENT_KNOWN, fields)


def _settings(fields: Any) -> dict[str, Any]:
    """The known settings among `fields`, `sampling` as its value."""
    if not isinstance(fields, dict):
        raise Malformed("has settings that are none")
    found: dict[str, Any] = {}
    for name in ("model", "preset", "system_prompt"):
        if name in fields:
            found[name] = None if fields[name] is None else _text(fields[name])
    if "sampling" in fields:
        found["sampling"] = _sampling(fields["sampling"])
    if "max_tokens" in fields:
        limit = fields["max_tokens"]
        if limit is not None and (type(limit) is not int or not 0 < limit < 2**31):
            raise Malformed("has a wrong max_tokens")
        found["max_tokens"] = limit
    return found


def _sampling(fields: Any) -> Sampling:
    if not isinstance(fields, dict):
        raise Malformed("has no sampling")
    numbers = {name: _number(name, fields[name]) for name in SAMPLING_RANGES if fields.get(name) is not None}
    return Sampling(**numbers)  # type: ignore[arg-type]


def _number(name: str, value: Any) -> float:
    low, high = SAMPLING_RANGES[name]
    kinds = (int,) if name in ("top_k", "seed") else (int, float)
    if type(value) not in kinds or not low <= value <= high:
        raise Malformed(f"has a wrong {name}")
    return float(value) if float in kinds else int(value)


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _LARGEST_ID:
        raise Malformed("has a wrong turn id")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Malformed("has something else where a text should be")
    return value


def _one_of(value: Any, known: tuple[Any, ...]) -> Any:
    if not isinstance(value, str) or value not in known:
        raise Malformed("has an unknown word")
    return value


def _written_time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds") if at else None


def _time(value: Any) -> datetime | None:
    """None for what is no time; a session is not lost for that."""
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
