"""Reads a session from its file: truncated files can be opened, and if a line is damaged, only that line is lost."""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path

from hermes_cli.chat.conversation import Conversation, Turn, TurnState
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.turn_tree import TurnTree
from hermes_cli.errors import SessionError, UsageError
from hermes_cli.files import check_hint
from hermes_cli.store.sessions import format as form
from hermes_cli.store.sessions.fields import Malformed, with_changes
from hermes_cli.store.sessions.format import TurnAdded
from hermes_cli.values import dataclass

_TITLE_CHARACTERS = 60
_LINES_NAMED = 5


@dataclass(frozen=True, slots=True)
class SavedSession:
    """The content of a session file. `conversation` is the current branch, `turns` holds all branches by turn id.

    `given_title` is the user's. `last_turn_id` is the largest in use, 0 if there is none. `notices` say what could not
    be read. `continuable` is False where new turns would be ambiguous. `unanswered` is a message that was sent last and
    has no answer: the program was killed, or is generating it now. `tree` holds the turns of all branches.
    """

    path: Path
    given_title: str | None
    created: datetime
    settings: SessionSettings
    conversation: Conversation
    turns: Mapping[int, TurnAdded]
    last_turn_id: int
    notices: tuple[str, ...]
    has_header: bool
    continuable: bool
    size_bytes: int
    unanswered: str | None = None
    tree: TurnTree = field(default_factory=TurnTree)

    @property
    def id(self) -> str:
        """The name of the file without its ending."""
        return self.path.stem

    @property
    def title(self) -> str:
        """The user's title, else the beginning of the first question; empty if there is none."""
        turns = self.conversation.turns
        return self.given_title or first_words(turns[0].question if turns else self.unanswered or "")

    @property
    def model(self) -> str | None:
        """The model that gave the last answer, else the one that was chosen."""
        answered = self.branch[-1].fields.get("model") if self.conversation.turns else None
        return answered if isinstance(answered, str) else self.settings.model

    @property
    def branch(self) -> tuple[TurnAdded, ...]:
        """The records of the turns in `conversation`."""
        return tuple(self.turns[turn.id] for turn in self.conversation.turns)

    def at_turn(self, turn_id: int) -> "SavedSession":
        """This session with the branch that ends at a turn made current. Raises UsageError."""
        if turn_id not in self.turns:
            raise UsageError(f"there is no turn {turn_id}", f"see the turns: hermes sessions show --tree {self.id}")
        return replace(self, conversation=replace(self.conversation, turns=self.tree.path(turn_id)))


def read_session(path: Path) -> SavedSession:
    """The session in a file. Raises UsageError if there is no file, SessionError if it is not a session."""
    data, modified = _content(path)
    read = _Reader()
    for number, line in _lines(data):
        read.line(number, line)
    if read.version > form.VERSION:
        raise SessionError(
            f"the session {path.stem} was written by a later hermes, in format {read.version}", "update hermes"
        )
    if not read.header and not read.turns and not _may_begin_a_session(data):
        raise SessionError(f"{path} is not a session of hermes", "list the sessions: hermes sessions list")
    return read.session(path, data, modified)


def unsaved_session(settings: SessionSettings, conversation: Conversation, model: str) -> SavedSession:
    """A conversation that is not saved, in the form of a saved one; for export."""
    now = datetime.now(UTC)
    parents = (None, *(turn.id for turn in conversation.turns))
    records = [
        form.turn_added(turn, parent, model, None, now)
        for turn, parent in zip(conversation.turns, parents, strict=False)
    ]
    return SavedSession(
        path=Path("not-saved.jsonl"),
        given_title=None,
        created=now,
        settings=settings,
        conversation=conversation,
        turns={record.turn.id: record for record in records},
        last_turn_id=0,
        notices=(),
        has_header=True,
        continuable=False,
        size_bytes=0,
    )


def first_words(text: str) -> str:
    """The first line of `text` that is not blank, shortened for a title."""
    words = " ".join(next(iter(text.lstrip()[:1000].splitlines()), "").split())
    return words if len(words) <= _TITLE_CHARACTERS else words[: _TITLE_CHARACTERS - 1].rstrip() + "…"


def _content(path: Path) -> tuple[bytes, datetime]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is not a file", "list the sessions: hermes sessions list")
        modified = datetime.fromtimestamp(min(max(status.st_mtime, 0), 2**36), UTC)
        return path.read_bytes(), modified
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"there is no session {path}", "list the sessions: hermes sessions list") from error
    except OSError as error:
        raise SessionError(f"cannot read {path}: {error.strerror}", check_hint(path)) from error


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty, with their numbers."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _may_begin_a_session(data: bytes) -> bool:
    """Whether this is the first line of a session, cut short by a crash."""
    start = b'{"hermes_session":'
    return b"\n" not in data and (data.startswith(start) or start.startswith(data))


class _Reader:
    """Applies the records of a file in their order."""

    def __init__(self) -> None:
        self.header: form.Header | None = None
        self.version = self._largest_id = 0
        self.turns: dict[int, TurnAdded] = {}
        self._settings = SessionSettings()
        self._system_prompt: str | None = None
        self._title: str | None = None
        self._head: int | None = None
        self._previous: int | None = None
        self._latest: dict[int | None, int] = {}
        self._new_ids: dict[int, int] = {}
        self._unread: list[int] = []
        self._lost: list[int] = []
        self._twice: list[int] = []
        self._last_line = 0
        self._unanswered: str | None = None

    def line(self, number: int, line: bytes) -> None:
        """Apply the next line."""
        self._last_line = number
        try:
            record = form.decode(line)
        except Malformed:
            self._unread.append(number)
            return
        match record:
            case form.Header():
                self._begin(record)
            case form.QuestionAsked():
                self._unanswered = record.question.content
            case form.QuestionWithdrawn():
                self._unanswered = None
            case TurnAdded():
                self._unanswered = None
                self._add(record, number)
            case form.HeadMoved(turn_id):
                self._unanswered = None
                self._move(turn_id, number)
            case form.TurnStateSet(turn_id, state):
                self._stand(turn_id, state, number)
            case form.Titled(title):
                self._title = title
            case form.SettingsChanged(fields):
                self._settings, self._system_prompt = with_changes(self._settings, self._system_prompt, fields)

    def _begin(self, header: form.Header) -> None:
        """Use the first header; a second one comes from two files joined together."""
        self.version = max(self.version, header.version)
        if not self.header:
            self.header = header
            self._settings, self._system_prompt = header.settings, header.system_prompt

    def _add(self, record: TurnAdded, number: int) -> None:
        given, parent = record.turn.id, record.parent
        if given in self.turns and self.turns[given].fields == record.fields:
            self._previous = given
            self._go_to(given)
            return
        if parent is not None:
            parent = self._new_ids.get(parent, parent)
            if parent not in self.turns:
                # The line of the parent is damaged: most likely this turn follows the one written before it.
                self._lost.append(number)
                parent = self._previous
        turn = record.turn
        if given in self.turns:
            self._twice.append(number)
            turn = replace(turn, id=self._largest_id + 1)
            self._new_ids[given] = turn.id
        self.turns[turn.id] = TurnAdded(turn, parent, record.fields)
        self._largest_id = max(self._largest_id, turn.id)
        self._previous = turn.id
        self._go_to(turn.id)

    def _move(self, turn_id: int | None, number: int) -> None:
        target = None if turn_id is None else self._new_ids.get(turn_id, turn_id)
        if target is None or target in self.turns:
            self._go_to(target)
        else:
            self._lost.append(number)

    def _go_to(self, target: int | None) -> None:
        """Make the branch that ends with a turn current."""
        before, self._head = self._head, target
        if target is not None and self.turns[target].parent == before:
            self._latest[before] = target  # the rest is current already
            return
        while target is not None:
            parent = self.turns[target].parent
            self._latest[parent] = target
            target = parent

    def _stand(self, turn_id: int, state: TurnState, number: int) -> None:
        target = self._new_ids.get(turn_id, turn_id)
        if target in self.turns:
            record = self.turns[target]
            self.turns[target] = replace(record, turn=replace(record.turn, state=state))
        else:
            self._lost.append(number)

    def session(self, path: Path, data: bytes, modified: datetime) -> SavedSession:
        """The session that the records make."""
        turns: list[Turn] = []
        at = self._head
        while at is not None:
            turns.append(self.turns[at].turn)
            at = self.turns[at].parent
        turns.reverse()
        return SavedSession(
            path=path,
            given_title=self._title or None,
            created=(self.header and self.header.created) or modified,
            settings=self._settings,
            conversation=Conversation(self._system_prompt, tuple(turns)),
            turns=self.turns,
            last_turn_id=self._largest_id,
            notices=tuple(self._notices(path, data)),
            has_header=self.header is not None,
            continuable=not self._twice,
            size_bytes=len(data),
            unanswered=self._unanswered,
            tree=self._tree(),
        )

    def _tree(self) -> TurnTree:
        turns = {id: record.turn for id, record in self.turns.items()}
        return TurnTree(turns, {id: record.parent for id, record in self.turns.items()}, self._latest)

    def _notices(self, path: Path, data: bytes) -> Iterator[str]:
        unread = list(self._unread)
        if unread and unread[-1] == self._last_line and not data.endswith(b"\n"):
            unread.pop()
            yield f"the last line of the session {path.stem} was cut short by a crash and is left out"
        if unread:
            yield f"the session {path.stem} is damaged; skipped as unreadable: {_these(unread)}"
        if self._lost:
            yield f"the session {path.stem} is damaged; these refer to missing turns: {_these(self._lost)}"
        if self._twice:
            yield f"the session {path.stem} uses a turn id twice; read as separate turns: {_these(self._twice)}"


def _these(numbers: list[int]) -> str:
    more = len(numbers) - _LINES_NAMED
    shown = ", ".join(map(str, numbers[:_LINES_NAMED])) + (f" and {more} more" if more > 0 else "")
    return f"line{'' if len(numbers) == 1 else 's'} {shown}"
