"""Writing sessions: every record is one line, appended and flushed to disk as a whole."""

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from hermes_cli import files
from hermes_cli.chat.conversation import Turn, TurnState
from hermes_cli.chat.events import Finished
from hermes_cli.chat.message import Message
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.errors import OutputError, SessionBusy, UsageError
from hermes_cli.store.sessions import files as session_files
from hermes_cli.store.sessions import format as form
from hermes_cli.store.sessions.fields import settings_fields
from hermes_cli.store.sessions.format import QuestionAsked, QuestionWithdrawn, Record, TurnAdded
from hermes_cli.store.sessions.reader import SavedSession, first_words

_TITLE_CHARACTERS = 200
_LOCK_TRIES, _LOCK_PAUSE_S = 10, 0.002
_BUSY_HINT = "close the other program, or continue in a copy of the session"


class Transcript:
    """The only writer of a session file, which it keeps locked.

    A new file is created with the first question, so a chat in which nothing is said leaves no file. A write that
    fails raises OutputError and leaves the file as it was; its records are written with the next ones. A file that is
    deleted or replaced while it is open is written again with all that it held.
    """

    def __init__(self, path: Path, title: str, descriptor: int | None, waiting: Iterable[Record]) -> None:
        self.path = path
        self.title = title
        self._descriptor = descriptor
        self._waiting = list(waiting)
        # The content of a new file apart from an unanswered first question; None once there are turns.
        self._preamble: list[Record] | None = [] if descriptor is None else None

    @classmethod
    def new(cls, settings: SessionSettings, system_prompt: str | None, turns: Sequence[Turn] = ()) -> Self:
        """A new session that begins with `turns`; they are written with the next record."""
        now = datetime.now(UTC)
        parents = (None, *(turn.id for turn in turns[:-1])) if turns else ()
        after = zip(turns, parents, strict=True)
        records = [form.turn_added(turn, parent, settings.model, None, now) for turn, parent in after]
        title = first_words(turns[0].question) if turns else ""
        return cls._from(form.Header(session_files.new_id(), now, settings, system_prompt), title, records)

    @classmethod
    def fork(cls, saved: SavedSession) -> Self:
        """A new session that begins as a copy of the current branch; it is written with the next record."""
        header = form.Header(
            session_files.new_id(), datetime.now(UTC), saved.settings, saved.conversation.system_prompt, saved.id
        )
        title = f"{saved.given_title} (fork)" if saved.given_title else ""
        titled = [form.Titled(title)] if title else []
        return cls._from(header, title or saved.title, [*saved.branch, *titled])

    @classmethod
    def reopen(cls, saved: SavedSession) -> Self:
        """The same session, to append to. Raises SessionBusy if only a fork can be continued."""
        if not saved.continuable:
            raise SessionBusy(f"the session {saved.id} uses a turn id twice", _BUSY_HINT)
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
        return cls(session_files.session_file(header.id).absolute(), title, None, [header, *records])

    @property
    def id(self) -> str:
        """The name of the file without its suffix."""
        return self.path.stem

    @property
    def name(self) -> str:
        """What `--session` finds it by from any folder: the id, or the path of a file outside the sessions folder."""
        own = self._descriptor is None or session_files.is_in_folder(self.path)
        return self.id if own else str(self.path)

    def append_question(self, turn_id: int, question: Message, parent: int | None) -> None:
        """Save a message before its answer is generated, as the coming turn `turn_id` after the turn `parent`."""
        self.title = self.title or first_words(question.content)
        self._write(QuestionAsked(turn_id, parent, question, datetime.now(UTC)))

    def withdraw_question(self, turn_id: int) -> None:
        """Take back a question that has no answer; a new session that holds nothing else leaves no file."""
        self._waiting = [record for record in self._waiting if not isinstance(record, QuestionAsked)]
        if self._preamble is None:
            self._write(QuestionWithdrawn(turn_id))
            return
        if self._descriptor is not None:
            if _is_at(self._descriptor, self.path):
                session_files.remove_session(self.path)
            os.close(self._descriptor)
            self._descriptor = None
            self._waiting, self._preamble = [*self._preamble, *self._waiting], []
        titles = [record.title for record in self._waiting if isinstance(record, form.Titled)]
        self.title = titles[-1] if titles else ""

    def append_turn(self, turn: Turn, parent: int | None, *, model: str | None, finished: Finished | None) -> None:
        """Save a complete turn that follows the turn `parent`; the conversation now ends with it."""
        self.title = self.title or first_words(turn.question)
        self._write(form.turn_added(turn, parent, model, finished, datetime.now(UTC)))

    def move_head(self, turn_id: int | None) -> None:
        """End the conversation with another saved turn; None empties it."""
        self._later(form.HeadMoved(turn_id))

    def set_state(self, turn_ids: Iterable[int], state: TurnState) -> None:
        """Pin turns, leave them out of the context, or put them back."""
        self._later(*(form.TurnStateSet(turn_id, state) for turn_id in turn_ids))

    def set_title(self, text: str) -> None:
        """Name the session. Raises UsageError for a title without any text."""
        title = " ".join(text.split())[:_TITLE_CHARACTERS]
        if not title:
            raise UsageError("a title needs some text", "write it like: My notes on llamas")
        self.title = title
        self._later(form.Titled(title))
        self.save()

    def change_settings(self, settings: SessionSettings, system_prompt: str | None) -> None:
        """Save the settings for the turns to come."""
        unset = dict.fromkeys(("endpoint", "lora", "mcp"))
        self._later(form.SettingsChanged(unset | settings_fields(settings, system_prompt)))

    def save(self) -> None:
        """Write the records that wait for the next turn; a chat without messages gets no file."""
        if any(isinstance(record, TurnAdded) for record in self._waiting):
            self._write()

    def close(self) -> None:
        """Release the file; nothing can be written after it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = -1

    def _later(self, *records: Record) -> None:
        """Write now, or with the first question if there is no file yet."""
        if self._descriptor is None:
            self._waiting.extend(records)
        else:
            self._write(*records)

    def _write(self, *records: Record) -> None:
        self._waiting.extend(records)
        try:
            if self._descriptor is None:
                self._create()
            elif _is_at(self._descriptor, self.path):
                append(self._descriptor, self._lines())
            else:
                self._create(_content(self._descriptor))
        except OSError as error:
            hint = files.write_hint(self.path.parent, error)
            raise OutputError(f"cannot save the session {self.path}: {error.strerror}", hint) from error
        self._note_written()
        self._waiting.clear()

    def _note_written(self) -> None:
        """Remember the content of a file without turns, in case its question is withdrawn."""
        if self._preamble is not None and any(isinstance(record, TurnAdded) for record in self._waiting):
            self._preamble = None
        if self._preamble is not None:
            self._preamble += [record for record in self._waiting if not isinstance(record, QuestionAsked)]

    def _lines(self) -> bytes:
        return b"".join(map(form.encode, self._waiting))

    def _create(self, content: bytes = b"") -> None:
        """Write a new file: `content` of one that is gone, then what waits."""
        if self.path.parent == session_files.session_file(self.id).absolute().parent:
            session_files.make_folder()
        else:
            files.make_private_folder(self.path.parent)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = None
        while descriptor is None:
            try:
                descriptor = os.open(self.path, flags, 0o600)
            except FileExistsError:  # a session of the same second drew the same number, or replaced this one
                self._take_another_id()
        try:
            files.lock(descriptor)
            append(descriptor, content + self._lines())
            files.folder_to_disk(self.path.parent)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                self.path.unlink()
            raise
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def _take_another_id(self) -> None:
        session_files.make_folder()
        id = session_files.new_id()
        self.path = session_files.session_file(id).absolute()
        self._waiting = [
            replace(record, id=id) if isinstance(record, form.Header) else record for record in self._waiting
        ]


def append(descriptor: int, data: bytes) -> None:
    """Append whole lines to a file and flush them, or nothing. Raises OSError.

    A last line that a crash cut short is ended first.
    """
    before = os.fstat(descriptor).st_size
    if before and os.pread(descriptor, 1, before - 1) != b"\n":
        data = b"\n" + data
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        files.to_disk(descriptor)
    except BaseException:
        # If this fails too, the next line begins with a newline, and readers skip the torn one.
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at `path`. Raises OSError where that cannot be found out."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _content(descriptor: int) -> bytes:
    """All that an open file holds, also after it was deleted, with a line feed at its end."""
    data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    return data if not data or data.endswith(b"\n") else data + b"\n"


def _locked_soon(descriptor: int) -> bool:
    """Lock a file, waiting a moment for `in_use`, which holds its lock only while it looks."""
    for _ in range(_LOCK_TRIES):
        if files.lock(descriptor):
            return True
        time.sleep(_LOCK_PAUSE_S)
    return files.lock(descriptor)
