"""What is in the sessions, remembered between runs: a table for the list and folded text for the search.

It lies in the cache folder, may be deleted at any time, and follows the size and time of each session's file. A plain
scan of 100 MB takes a tenth of a second; a trigram index of the same took half a minute to build.
"""

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from hermes_cli import paths
from hermes_cli.errors import HermesError, SessionError, UsageError
from hermes_cli.store.saved_session import SavedSession, read_session
from hermes_cli.store.session_files import session_files

_LAYOUT = 1
_PATIENCE_S = 5.0
_EXCERPT_CHARACTERS = 40
_TABLES = """
CREATE TABLE sessions (name TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, title TEXT NOT NULL,
                       turns INTEGER NOT NULL, model TEXT, problem TEXT);
CREATE TABLE texts (name TEXT PRIMARY KEY, folded BLOB NOT NULL);
"""
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session in a list; `used` is when its file was last written. `problem` says why it cannot be read."""

    path: Path
    title: str
    turn_count: int
    model: str | None
    size_bytes: int
    used: datetime
    problem: str | None

    @property
    def id(self) -> str:
        """The name of the file without its ending."""
        return self.path.stem


def all_sessions() -> list[SessionSummary]:
    """All saved sessions, the last used first."""
    return _with_index(_summaries)


def search_sessions(text: str) -> list[SessionSummary]:
    """The sessions in which `text` was said or that are titled so, upper or lower case, the last used first.

    All branches are searched, also what was undone or regenerated.
    """
    needle = _folded(text)

    def found(index: sqlite3.Connection) -> list[SessionSummary]:
        names = {name for name, folded in index.execute("SELECT name, folded FROM texts") if needle in folded}
        return [session for session in _summaries(index) if session.path.name in names]

    return _with_index(found)


def excerpt(path: Path, text: str) -> str:
    """The first place in a session where `text` stands, with some words around it, on one line."""
    pattern, folded = re.compile(re.escape(text), re.IGNORECASE), text.casefold()
    try:
        said = _said(read_session(path))
    except HermesError:
        return ""
    for part in said:
        found = pattern.search(part)
        # Folding makes two characters of a few, such as the German ß: then the place is about right.
        at = found.start() if found else part.casefold().find(folded)
        if at >= 0:
            start, end = max(at - _EXCERPT_CHARACTERS, 0), at + len(text) + _EXCERPT_CHARACTERS
            before, after = "…" if start else "", "…" if end < len(part) else ""
            return before + " ".join(part[start:end].split()) + after
    return ""


def _with_index(use: Callable[[sqlite3.Connection], _Found]) -> _Found:
    """What `use` finds in the refreshed index: the one on disk, else a new one, else one in memory."""
    path = paths.session_index_file()
    try:
        return _used(path, use)
    except (sqlite3.Error, OSError, TypeError, ValueError) as error:
        in_use = getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    if not in_use:
        with suppress(sqlite3.Error, OSError):
            for file in (path, path.with_name(f"{path.name}-journal")):
                file.unlink(missing_ok=True)
            return _used(path, use)
    return _used(None, use)


def _used(path: Path | None, use: Callable[[sqlite3.Connection], _Found]) -> _Found:
    if path:
        # Private before there is anything in it; SQLite gives its journal the same mode.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(path or ":memory:", timeout=_PATIENCE_S)) as index:
        index.execute("PRAGMA secure_delete = ON")  # a session that is removed leaves no text here
        if index.execute("PRAGMA user_version").fetchone() != (_LAYOUT,):
            _lay_out(index)
        _refresh(index)
        return use(index)


def _lay_out(index: sqlite3.Connection) -> None:
    index.execute("PRAGMA page_size = 32768")
    index.executescript(
        f"BEGIN IMMEDIATE; DROP TABLE IF EXISTS sessions; DROP TABLE IF EXISTS texts; {_TABLES}"
        f"PRAGMA user_version = {_LAYOUT}; COMMIT;"
    )


def _refresh(index: sqlite3.Connection) -> None:
    """Read what was written since, forget what is gone."""
    present = {entry.name: (entry.stat(), entry.path) for entry in session_files()}
    known = {name: stamp for name, *stamp in index.execute("SELECT name, size, mtime_ns FROM sessions")}
    stamps = {name: [status.st_size, status.st_mtime_ns] for name, (status, _) in present.items()}
    stale = [name for name in known if stamps.get(name) != known[name]]
    new = [name for name in stamps if stamps[name] != known.get(name)]
    if not stale and not new:
        return
    with index:
        for table in ("sessions", "texts"):
            index.executemany(f"DELETE FROM {table} WHERE name = ?", [(name,) for name in stale])
        for name in new:
            _enter(index, name, stamps[name], Path(present[name][1]))


def _enter(index: sqlite3.Connection, name: str, stamp: list[int], path: Path) -> None:
    row: tuple[str, int, str | None, str | None]
    try:
        saved = read_session(path)
        model = saved.settings.model
        row = (_storable(saved.title), len(saved.conversation.turns), model and _storable(model), None)
        folded = _folded("\n".join(_said(saved)))
    except UsageError:  # removed meanwhile
        return
    except SessionError as error:
        row, folded = ("", 0, None, _storable(error.message)), b""
    index.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", (name, *stamp, *row))
    index.execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (name, folded))


def _summaries(index: sqlite3.Connection) -> list[SessionSummary]:
    rows = index.execute(
        "SELECT name, title, turns, model, size, mtime_ns, problem FROM sessions ORDER BY mtime_ns DESC, name DESC"
    )
    folder = paths.sessions_folder()
    return [
        SessionSummary(
            folder / name, title, turns, model, size, datetime.fromtimestamp(mtime_ns / 1e9).astimezone(), problem
        )
        for name, title, turns, model, size, mtime_ns, problem in rows
    ]


def _said(saved: SavedSession) -> list[str]:
    """The title and all that was said, in all branches."""
    messages = [message.content for record in saved.turns.values() for message in record.turn.messages]
    return [saved.given_title, *messages] if saved.given_title else messages


def _folded(text: str) -> bytes:
    return text.casefold().encode("utf-8", "replace")


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
