"""Branches of a session: after any operations, every turn can be made current again."""

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes_cli.chat.conversation import Turn
from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.engine.local import LocalBackend
from hermes_cli.errors import UsageError
from hermes_cli.session.session import Session
from hermes_cli.store.sessions.reader import read_session
from hermes_cli.store.sessions.writer import Transcript

SETTINGS = SessionSettings(sampling=Sampling(temperature=0, repeat_penalty=1), max_tokens=3)
ACTS = ("send", "retry", "edit", "edit answer", "undo", "redo", "prev", "next", "go", "fork", "restart", "torn")
TORN = b'{"turn":99,"parent":1,"mess'


class Chat:
    """A session in a file, and all turns of that file and of those it was forked from."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self.said: set[tuple[str, ...]] = set()
        self.files: dict[Path, bytes] = {}
        self.session = Session(backend, settings=SETTINGS, transcript=Transcript.new(SETTINGS, None))
        self._count = 0

    def act(self, act: str, number: int) -> None:
        """Do one thing; what is not possible now changes nothing."""
        session, turns = self.session, self.session.conversation.turns
        place = number % len(turns) if turns else 0
        text = f"What is {number} plus 3?"
        with suppress(UsageError):
            match act:
                case "send":
                    list(session.send(text, CancelToken()))
                case "retry":
                    list(session.regenerate(CancelToken(), prefill=f"{number}, "))
                case "edit" if turns:
                    list(session.send(f"{text} Please.", CancelToken(), after=place))
                case "edit answer" if turns:
                    session.edit_answer(turns[place], f"It is {number}.")
                case "undo":
                    session.undo(number % 3 + 1)
                case "redo":
                    session.redo(number % 3 + 1)
                case "prev" | "next" if turns:
                    session.switch_version(-1 if act == "prev" else 1, turns[place])
                case "go":
                    session.end_at(number % (len(session.tree.turns) + 1))
                case "fork" if turns:
                    self._fork(turns[place])
                case "restart" | "torn" if session.transcript and session.transcript.path.exists():
                    self._restart(torn=act == "torn")
        self._check()

    def _fork(self, last: Turn) -> None:
        transcript = self.session.transcript
        assert transcript
        saved = read_session(transcript.path).at_turn(last.id)
        copy = Transcript.fork(saved)
        copy.save()
        self.said = {texts(turn) for turn in saved.conversation.turns}
        self.session.restart(saved.conversation, copy, saved.last_turn_id)

    def _restart(self, *, torn: bool) -> None:
        before = self.session
        assert before.transcript
        path = before.transcript.path
        before.transcript.close()
        if torn:
            with path.open("ab") as file:
                file.write(TORN)
        saved = read_session(path)
        assert [texts(turn) for turn in saved.conversation.turns] == [texts(turn) for turn in before.conversation.turns]
        assert saved.tree.turns.keys() == before.tree.turns.keys()
        assert saved.tree.latest == before.tree.latest
        self.session = Session(
            self._backend,
            saved.conversation,
            settings=SETTINGS,
            transcript=Transcript.reopen(saved),
            last_turn_id=saved.last_turn_id,
            tree=saved.tree,
        )

    def _check(self) -> None:
        session = self.session
        assert session.saving_problem is None
        self.said |= {texts(turn) for turn in session.conversation.turns}
        assert {texts(turn) for turn in session.tree.turns.values()} >= self.said
        if session.transcript and session.transcript.path.exists():
            path = session.transcript.path
            content = path.read_bytes()
            assert content.startswith(self.files.get(path, b""))
            self.files[path] = content
        assert all(path.read_bytes() == content for path, content in self.files.items())


def texts(turn: Turn) -> tuple[str, ...]:
    return tuple(message.content for message in turn.messages)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 9)), min_size=3, max_size=20))
def test_everything_that_was_said_can_be_made_current_again(
    backend: LocalBackend, acts: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("HERMES_CLI_DATA_DIR", folder)
        chat = Chat(backend)
        chat.act("send", 1)
        for act, number in acts:
            chat.act(act, number)
        session = chat.session
        for id, turn in session.tree.turns.items():
            session.end_at(id)
            assert session.conversation.turns[-1] == turn
        assert session.transcript
        saved = read_session(session.transcript.path)
        assert {texts(turn) for turn in saved.tree.turns.values()} >= chat.said
        assert all(saved.at_turn(id).conversation.turns[-1].id == id for id in saved.turns)


def test_a_summary_that_is_redone_replaces_its_turns_again(backend: LocalBackend) -> None:
    session = Session(backend, settings=SessionSettings(sampling=Sampling(temperature=0, repeat_penalty=1)))
    list(session.send(f"{'one ' * 150}My name is Alice.", CancelToken()))
    list(session.compact(CancelToken()))
    compacted = session.conversation
    session.undo()
    assert [turn.state for turn in session.conversation.turns] == ["kept"]
    session.redo()
    assert session.conversation == compacted


def test_a_stopped_prefill_leaves_no_turn_and_an_edited_answer_is_continued(backend: LocalBackend) -> None:
    session = Session(backend, settings=SessionSettings(sampling=Sampling(temperature=0, repeat_penalty=1)))
    stopped = CancelToken()
    stopped.cancel("interrupt")
    list(session.send("What is 2 plus 3?", stopped, prefill="The sum"))
    assert not session.conversation.turns
    list(session.send("What is 2 plus 3?", CancelToken()))
    session.edit_answer(session.conversation.turns[0], "2 plus")
    list(session.continue_answer(CancelToken()))
    assert session.conversation.turns[0].answer.content == "2 plus 3 is 5."
    assert len(session.versions(session.conversation.turns[0])) == 3
