"""The index of the sessions: a table for the list and case-folded text for the search, cached between runs.

It is in the cache folder, may be deleted at any time, and is refreshed by the size and time of each file. A plain
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
from typing import Any, TypeVar

from hermes_cli import paths
from hermes_cli.errors import HermesError, SessionError, UsageError
from hermes_cli.store.sessions.files import ENDING, session_file, session_files, written_ns
from hermes_cli.store.sessions.reader import SavedSession, read_session

_LAYOUT = 1
_PATIENCE_S = 5.0
_EXCERPT_CHARACTERS = 40
_TABLES = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, title TEXT NOT NULL, turns INTEGER NOT NULL, model TEXT,
                       size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, problem TEXT);
CREATE TABLE texts (id TEXT PRIMARY KEY, folded BLOB NOT NULL);
"""
_SUMMARIES = "SELECT id, title, turns, model, size, mtime_ns, problem FROM sessions ORDER BY mtime_ns DESC, id DESC"
_ROW = (str, str, int, str | None, int, int, str | None)
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session in a list; `problem` says why it cannot be read."""

    id: str
    title: str
    turn_count: int
    model: str | None
    size_bytes: int
    used_ns: int
    problem: str | None

    @property
    def path(self) -> Path:
        """The session's file."""
        return session_file(self.id)

    @property
    def used(self) -> datetime:
        """When the file was last written, in local time."""
        return datetime.fromtimestamp(self.used_ns / 1e9).astimezone()


def all_sessions() -> list[SessionSummary]:
    """All saved sessions, most recent first."""
    return _with_index(lambda index: list(map(_summary, index.execute(_SUMMARIES))))


def search_sessions(text: str) -> list[SessionSummary]:
    """The sessions whose text or title contains `text`, ignoring case, most recent first.

    All branches are searched, including undone and regenerated turns.
    """
    needle = _folded(text)

    def found(index: sqlite3.Connection) -> list[SessionSummary]:
        ids = {id for id, folded in index.execute("SELECT id, folded FROM texts") if needle in folded}
        return [_summary(row) for row in index.execute(_SUMMARIES) if row[0] in ids]

    return _with_index(found)


def excerpt(path: Path, text: str) -> str:
    """The first occurrence of `text` in a session with some words around it, on one line."""
    pattern, folded = re.compile(re.escape(text), re.IGNORECASE), text.casefold()
    try:
        said = _said(read_session(path))
    except HermesError:
        return ""
    for part in said:
        found = pattern.search(part)
        # Case folding lengthens some characters, such as the German ß: then the place is approximate.
        at = found.start() if found else part.casefold().find(folded)
        if at >= 0:
            start, end = max(at - _EXCERPT_CHARACTERS, 0), at + len(text) + _EXCERPT_CHARACTERS
            before, after = "…" if start else "", "…" if end < len(part) else ""
            return before + " ".join(part[start:end].split()) + after
    return ""


def _with_index(use: Callable[[sqlite3.Connection], _Found]) -> _Found:
    """The result of `use` on the refreshed index: the one on disk, else a new one, else one in memory."""
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
        index.execute("PRAGMA secure_delete = ON")  # text of removed sessions is erased
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
    """Read files that have changed and drop those that are gone."""
    known = {id: (size, mtime_ns) for id, size, mtime_ns in index.execute("SELECT id, size, mtime_ns FROM sessions")}
    present = {}
    for entry in session_files():
        status = entry.stat()
        present[entry.name.removesuffix(ENDING)] = (status.st_size, written_ns(status))
    if known == present:
        return
    stale = [(id,) for id in known if present.get(id) != known[id]]
    with index:
        for table in ("sessions", "texts"):
            index.executemany(f"DELETE FROM {table} WHERE id = ?", stale)
        for id, (size, mtime_ns) in present.items():
            if known.get(id) != (size, mtime_ns):
                _enter(index, id, size, mtime_ns)


def _enter(index: sqlite3.Connection, id: str, size: int, mtime_ns: int) -> None:
    title, turns, model, problem, folded = "", 0, "", "", b""
    try:
        saved = read_session(session_file(id))
        title, turns, model = saved.title, len(saved.conversation.turns), saved.model or ""
        folded = _folded("\n".join(_said(saved)))
    except UsageError:  # removed meanwhile
        return
    except SessionError as error:
        problem = error.message
    row = (id, _storable(title), turns, _storable(model) or None, size, mtime_ns, _storable(problem) or None)
    index.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    index.execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (id, folded))


def _summary(row: tuple[Any, ...]) -> SessionSummary:
    if not all(map(isinstance, row, _ROW)):
        raise ValueError("the index is damaged")
    return SessionSummary(*row)


def _said(saved: SavedSession) -> list[str]:
    """The title, and the text of all branches and of a question without an answer."""
    messages = [message.content for record in saved.turns.values() for message in record.turn.messages]
    return [text for text in (saved.given_title, *messages, saved.unanswered) if text]


def _folded(text: str) -> bytes:
    return text.casefold().encode("utf-8", "replace")


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
