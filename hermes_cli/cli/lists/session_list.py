"""Lists of sessions as columns, tab-separated lines or JSON, and the sessions beyond given limits."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_cli.cli.lists import stdout
from hermes_cli.terminal.columns import cut
from hermes_cli.terminal.sanitize import one_line
from hermes_cli.terminal.units import age_from, bytes_from, size_text

if TYPE_CHECKING:
    from hermes_cli.store.sessions.index import SessionSummary

_MODEL_CHARACTERS = 24


def print_sessions(sessions: Sequence["SessionSummary"]) -> None:
    """Print them in columns; in a pipe: id, time of the last use, turns, bytes, model, title."""
    piped = [
        (
            session.id,
            session.used.isoformat(timespec="seconds"),
            str(session.turn_count),
            str(session.size_bytes),
            session.model or "",
            _title(session),
        )
        for session in sessions
    ]
    head = ("id", "used", "turns", "size", "model", "title")
    layout = (0, 1, 2, 4, 3)
    stdout.write_rows(head, map(_cells, sessions), piped, order=layout, elastic=5, right=(2, 3), wrap=False)


def print_json(sessions: Iterable["SessionSummary"]) -> None:
    """Print a JSON list of objects."""
    stdout.write_json(
        [
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
    )


def beyond(
    sessions: Sequence["SessionSummary"],
    older_than: str | None,
    larger_than: str | None,
    keep_under: str | None,
    newest: Path | None,
) -> list["SessionSummary"]:
    """The sessions that any limit names, most recent first, but never the newest. Raises UsageError."""
    unwanted: set[Path | None] = set()
    if older_than:
        age = age_from("--older-than", older_than)
        since_ns = (datetime.now().timestamp() - age.total_seconds()) * 1e9
        unwanted |= {session.path for session in sessions if session.used_ns < since_ns}
    if larger_than:
        limit = bytes_from("--larger-than", larger_than)
        unwanted |= {session.path for session in sessions if session.size_bytes > limit}
    unwanted.discard(newest)
    if keep_under:
        room = bytes_from("--keep-under", keep_under) - sum(one.size_bytes for one in sessions if one.path == newest)
        for session in sessions:
            if session.path not in unwanted and session.path != newest:
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
