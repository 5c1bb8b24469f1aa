"""Sessions being written: every turn is one line, appended and brought to the disk as a whole."""

import errno
import fcntl
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from hermes_cli import files as disk
from hermes_cli.chat.conversation import Standing, Turn
from hermes_cli.chat.events import Finished
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.errors import OutputError, SessionBusy, UsageError
from hermes_cli.store.sessions import files as session_files
from hermes_cli.store.sessions import format as form
from hermes_cli.store.sessions.format import Record, TurnAdded
from hermes_cli.store.sessions.reader import SavedSession, first_words

_TITLE_CHARACTERS = 200
_LOCK_TRIES, _LOCK_PAUSE_S = 10, 0.002
_BUSY_HINT = "close the other program, or go on in a copy of the session"


class Transcript:
    """The one writer of a session's file, which it keeps locked.

    A new file appears with the first turn, so a chat in which nothing is said leaves nothing. A write that fails
    raises OutputError and leaves the file as it was; what it should have written is written with the next.
    """

    def __init__(self, path: Path, title: str, descriptor: int | None, waiting: Iterable[Record]) -> None:
        self.path = path
        self.title = title
        self._descriptor = descriptor
        self._waiting = list(waiting)

    @classmethod
    def new(cls, settings: SessionSettings, system_prompt: str | None, turns: Sequence[Turn] = ()) -> Self:
        """A session of its own; it begins with `turns`, which are written with what comes next."""
        now = datetime.now(UTC)
        parents = (None, *(turn.id for turn in turns[:-1])) if turns else ()
        after = zip(turns, parents, strict=True)
        records = [form.turn_added(turn, parent, settings.model, None, now) for turn, parent in after]
        title = first_words(turns[0].question) if turns else ""
        return cls._from(form.Header(session_files.new_id(), now, settings, system_prompt), title, records)

    @classmethod
    def fork(cls, saved: SavedSession) -> Self:
        """A session of its own that begins as a copy of the current branch; written with what comes next."""
        header = form.Header(
            session_files.new_id(), datetime.now(UTC), saved.settings, saved.conversation.system_prompt, saved.id
        )
        title = f"{saved.given_title} (fork)" if saved.given_title else ""
        titled = [form.Titled(title)] if title else []
        return cls._from(header, title or saved.title, [*saved.branch, *titled])

    @classmethod
    def reopen(cls, saved: SavedSession) -> Self:
        """The same session, to go on. Raises SessionBusy where only a fork can."""
        if not saved.continuable:
            raise SessionBusy(f"the session {saved.id} uses a turn's id twice", _BUSY_HINT)
        try:
            descriptor = os.open(saved.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise SessionBusy(f"the session {saved.id} cannot be written: {error.strerror}", _BUSY_HINT) from error
        try:
            if not _locked_soon(descriptor):
                raise SessionBusy(f"the session {saved.id} is open in another program", _BUSY_HINT)
            if os.fstat(descriptor).st_size != saved.size_bytes:
                raise SessionBusy(f"another program has just written the session {saved.id}", _BUSY_HINT)
        except BaseException:
            os.close(descriptor)
            raise
        header = form.Header(saved.id, saved.created, saved.settings, saved.conversation.system_prompt)
        return cls(saved.path.absolute(), saved.title, descriptor, [] if saved.has_header else [header])

    @classmethod
    def _from(cls, header: form.Header, title: str, records: Iterable[Record] = ()) -> Self:
        return cls(session_files.session_file(header.id), title, None, [header, *records])

    @property
    def id(self) -> str:
        """The name of the file without its ending."""
        return self.path.stem

    @property
    def name(self) -> str:
        """What `--session` finds it by, from any folder: the id, the path of a file that lies elsewhere."""
        own = self._descriptor is None or session_files.lies_in_the_folder(self.path)
        return self.id if own else str(self.path)

    def append_turn(self, turn: Turn, parent: int | None, *, model: str | None, finished: Finished | None) -> None:
        """Save a turn that follows the turn `parent`; the conversation now ends with it."""
        self.title = self.title or first_words(turn.question)
        self._write(form.turn_added(turn, parent, model, finished, datetime.now(UTC)))

    def move_head(self, turn_id: int | None) -> None:
        """Let the conversation end with another turn that is saved; None empties it."""
        self._later(form.HeadMoved(turn_id))

    def set_standing(self, turn_ids: Iterable[int], standing: Standing) -> None:
        """Pin turns, leave them out or keep them."""
        self._later(*(form.StandingSet(turn_id, standing) for turn_id in turn_ids))

    def set_title(self, text: str) -> None:
        """Name the session. Raises UsageError for a title without any text."""
        title = " ".join(text.split())[:_TITLE_CHARACTERS]
        if not title:
            raise UsageError("a title needs some text", "write it like: My notes on llamas")
        self.title = title
        self._later(form.Titled(title))
        self.save()

    def change_settings(self, settings: SessionSettings, system_prompt: str | None) -> None:
        """From here on the session goes on with these."""
        self._later(form.SettingsChanged(form.settings_fields(settings, system_prompt)))

    def save(self) -> None:
        """Write now what waits for the next turn; a chat in which nothing was said stays without a file."""
        if any(isinstance(record, TurnAdded) for record in self._waiting):
            self._write()

    def close(self) -> None:
        """Give the file free for others; nothing can be written after it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = -1

    def _later(self, *records: Record) -> None:
        """Write now, or with the next turn where there is no file yet."""
        if self._descriptor is None:
            self._waiting.extend(records)
        else:
            self._write(*records)

    def _write(self, *records: Record) -> None:
        self._waiting.extend(records)
        try:
            if self._descriptor is None:
                self._create()
            elif not os.path.samestat(os.fstat(self._descriptor), self.path.stat()):
                raise FileNotFoundError(errno.ENOENT, "another file took its place")
            else:
                append(self._descriptor, self._lines())
        except OSError as error:
            raise OutputError(
                f"cannot save the session {self.path}: {error.strerror}", f"look at it: ls -ld '{self.path.parent}'; df"
            ) from error
        self._waiting.clear()

    def _lines(self) -> bytes:
        return b"".join(map(form.encode, self._waiting))

    def _create(self) -> None:
        session_files.make_folder()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = None
        while descriptor is None:
            try:
                descriptor = os.open(self.path, flags, 0o600)
            except FileExistsError:  # another session began in the same second and drew the same number
                self._take_another_id()
        try:
            _locked(descriptor)
            append(descriptor, self._lines())
            disk.folder_to_disk(self.path.parent)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                self.path.unlink()
            raise
        self._descriptor = descriptor

    def _take_another_id(self) -> None:
        id = session_files.new_id()
        self.path = session_files.session_file(id)
        self._waiting = [
            replace(record, id=id) if isinstance(record, form.Header) else record for record in self._waiting
        ]


def append(descriptor: int, data: bytes) -> None:
    """Whole lines at the end of a file and on the disk, or nothing; never on the line of what a crash left there."""
    before = os.fstat(descriptor).st_size
    if before and os.pread(descriptor, 1, before - 1) != b"\n":
        data = b"\n" + data
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        disk.to_disk(descriptor)
    except BaseException:
        # Where even this fails, the next line begins with a newline, and readers leave the torn one out.
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _locked_soon(descriptor: int) -> bool:
    """As `_locked`, but waits for who only looks: `in_use` holds its lock for a moment."""
    for _ in range(_LOCK_TRIES):
        if _locked(descriptor):
            return True
        time.sleep(_LOCK_PAUSE_S)
    return _locked(descriptor)


def _locked(descriptor: int) -> bool:
    """Lock the file for this program; False if another one has it. Where nothing can be locked, nobody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
