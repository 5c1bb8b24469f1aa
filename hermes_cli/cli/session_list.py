"""Sessions as lists: columns for people, tabs for programs, JSON; sizes and ages, and what is beyond them."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hermes_cli.errors import UsageError
from hermes_cli.terminal import columns
from hermes_cli.terminal.columns import cut, window_columns
from hermes_cli.terminal.sanitize import one_line

if TYPE_CHECKING:
    from hermes_cli.store.session_index import SessionSummary

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_AGES = {"h": 1, "d": 24, "w": 24 * 7, "y": 24 * 365}
_MODEL_CHARACTERS = 24


def table(sessions: Sequence["SessionSummary"]) -> str:
    """Aligned columns, as many as fit on the terminal."""
    rows = [("id", "used", "turns", "size", "model", "title"), *map(_cells, sessions)]
    return columns.table(rows, window_columns(sys.stdout), order=(0, 1, 2, 4, 3), elastic=5, right=(2, 3), wrap=False)


def tab_separated(sessions: Iterable["SessionSummary"]) -> str:
    """A line each: id, time of the last use, turns, bytes, model, title."""
    return "".join(
        "\t".join(
            (
                session.id,
                session.used.isoformat(timespec="seconds"),
                str(session.turn_count),
                str(session.size_bytes),
                " ".join((session.model or "").split()),
                " ".join(_title(session).split()),
            )
        )
        + "\n"
        for session in sessions
    )


def as_json(sessions: Iterable["SessionSummary"]) -> str:
    """One list of objects."""
    objects = [
        {
            "id": session.id,
            "title": session.title,
            "used": session.used.isoformat(timespec="seconds"),
            "turns": session.turn_count,
            "model": session.model,
            "size_bytes": session.size_bytes,
            "path": str(session.path),
            **({"problem": session.problem} if session.problem else {}),
        }
        for session in sessions
    ]
    return json.dumps(objects, ensure_ascii=False, indent=2) + "\n"


def size_text(count: int) -> str:
    """A number of bytes for people: `812 B`, `3.4 kB`, `1.2 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def bytes_from(option: str, text: str) -> int:
    """The bytes in `500MB`, `1.5 GiB` or `800`. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)\s*", text, re.ASCII)
    if not found or found[2].upper() not in _UNITS:
        raise UsageError(f"{option} {text} is not a size", f"write it like {option} 500MB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def age_from(option: str, text: str) -> timedelta:
    """The time in `30d`, `12h`, `2w` or `1y`. Raises UsageError."""
    found = re.fullmatch(r"\s*(\d{1,4})\s*([hdwy])\s*", text, re.ASCII)
    if not found:
        raise UsageError(f"{option} {text} is not an age", f"write it like {option} 30d, with h, d, w or y")
    return timedelta(hours=int(found[1]) * _AGES[found[2]])


def beyond(
    sessions: Sequence["SessionSummary"], older_than: str | None, larger_than: str | None, keep_under: str | None
) -> list["SessionSummary"]:
    """The sessions that the limits name, the last used first. Raises UsageError."""
    unwanted = set()
    if older_than:
        age = age_from("--older-than", older_than)
        since_ns = (datetime.now().timestamp() - age.total_seconds()) * 1e9
        unwanted |= {session.path for session in sessions if session.used_ns < since_ns}
    if larger_than:
        limit = bytes_from("--larger-than", larger_than)
        unwanted |= {session.path for session in sessions if session.size_bytes > limit}
    if keep_under:
        room = bytes_from("--keep-under", keep_under)
        for session in sessions:
            if session.path not in unwanted:
                room -= session.size_bytes
                unwanted |= {session.path} if room < 0 else set()
    return [session for session in sessions if session.path in unwanted]


def _cells(session: "SessionSummary") -> tuple[str, ...]:
    model = one_line((session.model or "").rpartition("/")[2])
    return (
        session.id,
        f"{session.used:%Y-%m-%d %H:%M}",
        str(session.turn_count),
        size_text(session.size_bytes),
        cut(model, _MODEL_CHARACTERS),
        one_line(_title(session)),
    )


def _title(session: "SessionSummary") -> str:
    return f"({session.problem})" if session.problem else session.title
