"""The records of a session file and their JSON lines. The format: docs/sessions.md."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NoReturn, get_args

from hermes_cli.chat.conversation import Turn, TurnState
from hermes_cli.chat.events import Finished
from hermes_cli.chat.message import Message
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.store.sessions.fields import (
    Malformed,
    checked_settings,
    message_fields,
    message_from,
    one_of,
    settings_fields,
    text_in,
    with_changes,
)
from hermes_cli.values import dataclass

VERSION = 1
NO_PARENT_KNOWN = -1
_MARK = "hermes_session"
_LARGEST_ID = 2**53
_YEARS = range(2, 9999)  # with room for any time zone


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
class QuestionAsked:
    """A message was sent as the next turn after the turn `parent`; its answer is not saved yet."""

    turn_id: int
    parent: int | None
    question: Message
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class QuestionWithdrawn:
    """The message sent last was taken back before it had an answer."""

    turn_id: int


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
class TurnStateSet:
    """A turn was pinned, left out of the context, or put back."""

    turn_id: int
    state: TurnState


@dataclass(frozen=True, slots=True)
class Titled:
    """The user named the session."""

    title: str


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The settings in `fields`, as JSON holds them, replace those before; others stay."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A kind of record that a later version added."""


Record = (
    Header
    | QuestionAsked
    | QuestionWithdrawn
    | TurnAdded
    | HeadMoved
    | TurnStateSet
    | Titled
    | SettingsChanged
    | Unknown
)


def turn_added(turn: Turn, parent: int | None, model: str | None, finished: Finished | None, at: datetime) -> TurnAdded:
    """The record of a turn that ended now."""
    fields: dict[str, Any] = {"time": _written_time(at), "model": model}
    if finished:
        fields |= {"seed": finished.seed, "usage": asdict(finished.usage)}
    return TurnAdded(turn, parent, fields)


def encode(record: Record) -> bytes:
    """The record as one line with its line feed."""
    text = json.dumps(_fields(record), ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, from bytes of the command line that are not UTF-8
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
        return TurnStateSet(_id(fields["turn"]), one_of(fields["standing"], get_args(TurnState)))
    if "asked" in fields:
        return QuestionAsked(
            _id(fields["asked"]), _parent(fields), message_from(fields.get("message")), _time(fields.get("time"))
        )
    if "withdrawn" in fields:
        return QuestionWithdrawn(_id(fields["withdrawn"]))
    if "head" in fields:
        return HeadMoved(None if fields["head"] is None else _id(fields["head"]))
    if "title" in fields:
        return Titled(text_in(fields["title"]))
    if "settings" in fields:
        checked_settings(fields["settings"])
        return SettingsChanged(fields["settings"])
    return Unknown()


def _fields(record: Record) -> dict[str, Any]:
    match record:
        case Header():
            fields = {_MARK: record.version, "id": record.id, "created": _written_time(record.created)}
            origin = {"forked_from": record.origin} if record.origin else {}
            return fields | origin | settings_fields(record.settings, record.system_prompt)
        case QuestionAsked(turn_id, parent, question, at):
            about = {"asked": turn_id, "parent": parent, "time": _written_time(at)}
            return about | {"message": message_fields(question)}
        case QuestionWithdrawn(turn_id):
            return {"withdrawn": turn_id}
        case TurnAdded(turn, parent):
            state = {} if turn.state == "kept" else {"standing": turn.state}
            # Messages read from a file keep their unknown fields.
            messages = record.fields.get("messages") or [message_fields(message) for message in turn.messages]
            own = ("turn", "parent", "messages", "standing")
            others = {name: value for name, value in record.fields.items() if name not in own}
            return {"turn": turn.id, "parent": parent} | others | state | {"messages": messages}
        case HeadMoved(turn_id):
            return {"head": turn_id}
        case TurnStateSet(turn_id, chosen):
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
        text_in(fields.get("id")), _time(fields.get("created")), settings, system_prompt, fields.get("forked_from")
    )


def _turn(fields: Mapping[str, Any]) -> TurnAdded:
    messages = fields["messages"]
    if not isinstance(messages, list) or not messages:
        raise Malformed("has no messages")
    state = one_of(fields.get("standing", "kept"), get_args(TurnState))
    turn = Turn(_id(fields["turn"]), tuple(map(message_from, messages)), state)
    return TurnAdded(turn, _parent(fields), fields)


def _parent(fields: Mapping[str, Any]) -> int | None:
    parent = fields.get("parent", NO_PARENT_KNOWN)
    return parent if parent is None or type(parent) is int else NO_PARENT_KNOWN


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _LARGEST_ID:
        raise Malformed("has a wrong turn id")
    return value


def _written_time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds") if at else None


def _time(value: Any) -> datetime | None:
    """A time in UTC; None for anything else, and for years that have no local time everywhere."""
    try:
        at = datetime.fromisoformat(value)
        if at.year not in _YEARS:
            return None
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
