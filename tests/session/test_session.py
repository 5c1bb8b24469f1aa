"""A chat in progress on the demo model: which turns enter the conversation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.events import Finished, GenerationEvent, TextDelta, TurnEvent
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.engine.local import LoadSettings, LocalBackend, open_backend
from hermes_cli.errors import ContextOverflow, UsageError
from hermes_cli.session.session import Session
from hermes_cli.store.sessions.reader import read_session
from hermes_cli.store.sessions.writer import Transcript
from tests.conftest import BrokenLibrary, Script
from tests.saved import folders_in

GREEDY = Sampling(temperature=0, repeat_penalty=1)
SUM = "What is 2 plus 3?"
AGREED = Message("assistant", "I see.", "stop")
LONG = "one " * 150  # more than a summary


@pytest.fixture(scope="module")
def endless(endless_path: Path) -> Iterator[LocalBackend]:
    """A backend whose answers never end by themselves."""
    with open_backend(endless_path, LoadSettings(context_length=2048)) as opened:
        yield opened


def greedy_session(backend: LocalBackend, max_tokens: int | None = None, stop: tuple[str, ...] = ()) -> Session:
    """A session whose answers are the same every time."""
    return Session(backend, settings=SessionSettings(sampling=GREEDY, max_tokens=max_tokens), stop=stop)


def say(session: Session, text: str) -> str:
    """Send `text` and return the whole answer."""
    events = list(session.send(text, CancelToken()))
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_a_turn_enters_the_conversation_when_it_ends(backend: LocalBackend) -> None:
    session = greedy_session(backend)
    given = say(session, SUM)
    assert session.conversation.messages == (Message("user", SUM), Message("assistant", given, "stop"))


def test_without_a_system_prompt_none_is_invented(backend: LocalBackend) -> None:
    assert Session(backend).conversation.messages == ()


@pytest.mark.parametrize("prompt", ["You are Brinda.", "", " \n"])
def test_a_system_prompt_opens_the_conversation_as_it_is(backend: LocalBackend, prompt: str) -> None:
    assert Session(backend, Conversation(prompt)).conversation.messages == (Message("system", prompt),)


def test_the_model_remembers_earlier_turns(backend: LocalBackend) -> None:
    session = greedy_session(backend)
    say(session, "My name is Ana.")
    assert "Ana" in say(session, "What is my name?")
    assert len(session.conversation.messages) == 4


def test_limits_and_stop_strings_hold_for_every_turn(backend: LocalBackend) -> None:
    session = greedy_session(backend, max_tokens=3, stop=("plus",))
    for _ in range(2):
        assert say(session, SUM) == "2 "
    short = greedy_session(backend, max_tokens=3)
    last = list(short.send(SUM, CancelToken()))[-1]
    assert isinstance(last, Finished) and last.reason == "length"


def test_a_stopped_answer_keeps_the_turn_with_what_was_said(endless: LocalBackend) -> None:
    session, cancel = greedy_session(endless), CancelToken()
    pieces: list[str] = []
    for event in session.send(SUM, cancel):
        if isinstance(event, TextDelta):
            pieces.append(event.text)
            cancel.cancel("interrupt")
    assert session.conversation.messages == (Message("user", SUM), Message("assistant", "".join(pieces), "cancelled"))


def test_a_turn_stopped_before_any_text_is_withdrawn(endless: LocalBackend) -> None:
    session, cancel = greedy_session(endless), CancelToken()
    cancel.cancel("interrupt")
    list(session.send(SUM, cancel))
    assert session.conversation.messages == ()


def test_leaving_a_turn_keeps_what_was_seen(endless: LocalBackend) -> None:
    session = greedy_session(endless)
    events = session.send(SUM, CancelToken())
    seen = next(event.text for event in events if isinstance(event, TextDelta))
    events.close()
    assert session.conversation.messages == (Message("user", SUM), Message("assistant", seen, "cancelled"))


def test_a_turn_that_is_refused_is_withdrawn_and_the_next_one_works(backend: LocalBackend) -> None:
    session = greedy_session(backend)
    with pytest.raises(ContextOverflow):
        say(session, "word " * 5000)
    assert session.conversation.messages == ()
    assert "5" in say(session, SUM)


FAILING = """
import sys
from pathlib import Path
from hermes_cli.chat.events import TextDelta
from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.local import LoadSettings, open_backend
from hermes_cli.errors import EngineError
from hermes_cli.session.session import Session
from hermes_cli.chat.settings import SessionSettings

GREEDY = SessionSettings(sampling=Sampling(temperature=0, repeat_penalty=1))
from hermes_cli.chat.settings import SessionSettings

backend = open_backend(Path(sys.argv[1]), LoadSettings(context_length=512))
session = Session(backend, settings=GREEDY)
seen = ""
try:
    for event in session.send("Hello, who are you?", CancelToken()):
        if isinstance(event, TextDelta):
            seen += event.text
except EngineError as error:
    print(error)
print(seen != "" and seen == session.conversation.messages[1].content)
print(len(backend.cache.ledger) == backend.cache.context.position())
session = Session(backend, settings=GREEDY)
events = session.send("What is 2 plus 3?", CancelToken())
print("".join(event.text for event in events if isinstance(event, TextDelta)))
session.close()
"""


def test_an_error_in_the_middle_keeps_what_was_said_and_the_next_turn_works(
    script: Script, broken_library: BrokenLibrary, demo_path: Path, tmp_path: Path
) -> None:
    folder = broken_library("DECODE_FAILS_AT=12")
    environment = {"LLAMA_CPP_LIB_PATH": str(folder), "HERMES_CLI_CACHE_DIR": str(tmp_path / "cache")}
    result = script(FAILING, demo_path, env=environment)
    assert (result.code, result.err) == (0, "")
    assert result.out.decode().splitlines()[0].startswith("llama.cpp failed to decode (-3)")
    assert result.out.decode().splitlines()[1:] == ["True", "True", "2 plus 3 is 5."]


def transcript() -> Transcript:
    return Transcript.new(SessionSettings(), None)


def questions(session: Session) -> list[str]:
    return [turn.question for turn in session.conversation.turns]


def drained(events: Iterator[TurnEvent]) -> str:
    """The text of a generation that is run to its end."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_an_answer_that_was_cut_continues_where_it_stopped(backend: LocalBackend) -> None:
    whole = say(greedy_session(backend), SUM)
    session = greedy_session(backend, max_tokens=3)
    begun = say(session, SUM)
    assert session.conversation.turns[-1].answer.finish_reason == "length"
    session.change_settings(SessionSettings(sampling=GREEDY))
    assert begun + drained(session.continue_answer(CancelToken())) == whole
    assert session.conversation.messages == (Message("user", SUM), Message("assistant", whole, "stop"))
    with pytest.raises(UsageError, match="complete"):
        session.continue_answer(CancelToken())


def test_regenerated_answer_replaces_the_last_one_and_both_stay_in_the_file(backend: LocalBackend) -> None:
    session = Session(backend, transcript=transcript())
    assert session.transcript
    path = session.transcript.path
    say(session, "Hello, who are you?")
    old = session.conversation.turns[0]
    drained(session.regenerate(CancelToken(), Sampling(temperature=0)))
    (new,) = session.conversation.turns
    assert (new.question, new.id) == (old.question, old.id + 1)
    session.transcript.close()
    saved = read_session(path)
    assert saved.conversation.turns == (new,)
    assert saved.turns[old.id].turn == old and saved.turns[old.id].parent is None


def test_a_new_answer_is_one_to_all_that_was_asked(backend: LocalBackend) -> None:
    """Imported conversations may have several messages of the user in one turn."""
    asked = (Message("user", "Hi."), Message("user", SUM))
    imported = Conversation(None, (Turn(1, (*asked, Message("assistant", "I do not know.", "stop"))),))
    session = Session(backend, imported, settings=SessionSettings(sampling=GREEDY), last_turn_id=1)
    drained(session.regenerate(CancelToken()))
    (new,) = session.conversation.turns
    assert new.messages == (*asked, Message("assistant", "2 plus 3 is 5.", "stop"))


def test_a_new_answer_that_is_stopped_before_any_text_leaves_the_old_one(backend: LocalBackend) -> None:
    session, cancel = greedy_session(backend), CancelToken()
    say(session, SUM)
    before = session.conversation
    cancel.cancel("interrupt")
    drained(session.regenerate(cancel))
    assert session.conversation == before


def test_undo_removes_one_or_several_turns_also_in_the_file(backend: LocalBackend) -> None:
    session = Session(backend, settings=SessionSettings(sampling=GREEDY), transcript=transcript())
    assert session.transcript
    path = session.transcript.path
    for text in (SUM, "My name is Ana.", "What is my name?"):
        say(session, text)
    assert [turn.question for turn in session.undo(2)] == ["My name is Ana.", "What is my name?"]
    assert questions(session) == [SUM]
    say(session, "My name is Bo.")
    session.transcript.close()
    assert read_session(path).conversation == session.conversation
    assert len(read_session(path).turns) == 4


@pytest.mark.parametrize("act", ["undo", "regenerate", "continue_answer"])
def test_nothing_to_undo_before_the_first_turn(backend: LocalBackend, act: str) -> None:
    arguments = () if act == "undo" else (CancelToken(),)
    with pytest.raises(UsageError, match="there are no messages yet"):
        getattr(Session(backend), act)(*arguments)


def test_what_is_changed_in_a_chat_is_there_when_it_is_opened_again(backend: LocalBackend) -> None:
    session = Session(backend, settings=SessionSettings(sampling=GREEDY), transcript=transcript())
    assert session.transcript
    path = session.transcript.path
    for text in (SUM, "My name is Ana."):
        say(session, text)
    session.change_system_prompt("You are Brinda.")
    session.change_settings(SessionSettings("demo", "coder", Sampling(temperature=0.3)))
    session.set_state([1], "left_out")
    session.set_state([2], "pinned")
    session.transcript.close()
    saved = read_session(path)
    assert saved.conversation == session.conversation
    assert [turn.state for turn in saved.conversation.turns] == ["left_out", "pinned"]
    assert saved.settings == session.settings


def test_summary_replaces_the_earlier_turns_except_those_to_keep(backend: LocalBackend) -> None:
    session = greedy_session(backend)
    for text in (SUM, f"{LONG}My name is Ana.", "What is 4 plus 4?"):
        say(session, text)
    session.set_state([1], "pinned")
    summary = drained(session.compact(CancelToken(), keep=1))
    assert [turn.state for turn in session.conversation.turns] == ["pinned", "left_out", "kept", "pinned"]
    assert session.conversation.turns[-1].answer.content == summary
    assert not any("My name is Ana." in message.content for message in session.conversation.messages)


def test_undo_reverts_a_summary_which_is_not_summarised_again(backend: LocalBackend) -> None:
    session = Session(backend, settings=SessionSettings(sampling=GREEDY), transcript=transcript())
    assert session.transcript
    path = session.transcript.path
    for text in (SUM, "My name is Ana.", f"{LONG}What is 4 plus 4?"):
        say(session, text)
    session.set_state([1], "left_out")
    session.set_state([2], "pinned")
    before = session.conversation
    drained(session.compact(CancelToken()))
    with pytest.raises(UsageError, match="is a summary"):
        session.regenerate(CancelToken())
    once = session.conversation
    session.set_state([once.turns[-1].id], "left_out")
    with pytest.raises(UsageError, match="is a summary"):
        session.regenerate(CancelToken())
    session.set_state([once.turns[-1].id], "pinned")
    say(session, LONG)
    twice = session.conversation
    drained(session.compact(CancelToken()))
    assert [turn.state for turn in session.conversation.turns[-3:]] == ["left_out", "left_out", "pinned"]
    session.undo()
    assert session.conversation == twice
    session.undo()
    assert session.conversation == once
    session.undo()
    assert session.conversation == before
    session.transcript.close()
    assert read_session(path).conversation == before


def test_a_summary_that_is_stopped_changes_nothing(endless: LocalBackend) -> None:
    session = greedy_session(endless, max_tokens=5)
    say(session, SUM)
    before, cancel = session.conversation, CancelToken()
    for event in session.compact(cancel):
        if isinstance(event, TextDelta):
            cancel.cancel("interrupt")
    assert session.conversation == before


def long_chat(*sizes: int) -> Conversation:
    """Turns with ids from 1, each of that many words."""
    messages = [(Message("user", f"{number} {'one ' * size}"), AGREED) for number, size in enumerate(sizes, 1)]
    return Conversation(None, tuple(Turn(number, turn) for number, turn in enumerate(messages, 1)))


def test_conversation_longer_than_the_context_is_summarised_piece_by_piece(
    demo_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_backend(demo_path, LoadSettings(context_length=512)) as small:
        session = Session(small, long_chat(*[40] * 12), settings=SessionSettings(sampling=GREEDY), last_turn_id=12)
        before, requests, generate = session.conversation, list[GenerationRequest](), small.generate

        def noted(request: GenerationRequest, cancel: CancelToken) -> Iterator[GenerationEvent]:
            requests.append(request)
            return generate(request, cancel)

        monkeypatch.setattr(small, "generate", noted)
        events = list(session.compact(CancelToken(), keep=1))
        assert [event for event in events if isinstance(event, Finished)] == events[-1:]
        summary = session.conversation.turns[-1]
        assert [turn.state for turn in session.conversation.turns] == ["left_out"] * 11 + ["kept", "pinned"]
        assert drained(iter(events)).endswith(f"\n\n{summary.answer.content}")
        first, *others = [[message.content for message in request.messages] for request in requests]
        assert others and [summary.question] * len(others) == [piece[0] for piece in others]
        read = [text for piece in [first, *(piece[2:] for piece in others)] for text in piece[:-1:2]]
        assert read == [turn.question for turn in before.turns[:11]]
        session.undo()
        assert session.conversation == before


def test_a_summary_that_is_stopped_in_its_second_piece_changes_nothing(demo_path: Path) -> None:
    with open_backend(demo_path, LoadSettings(context_length=512)) as small:
        session = Session(small, long_chat(*[40] * 12), settings=SessionSettings(sampling=GREEDY), last_turn_id=12)
        before, cancel = session.conversation, CancelToken()
        for event in session.compact(cancel):
            if event == TextDelta("\n\n"):
                cancel.cancel("interrupt")
        assert isinstance(event, Finished) and event.reason == "cancelled"
        assert session.conversation == before


@pytest.mark.parametrize("number", [1, 12])
def test_turn_too_long_to_summarise_is_named_and_nothing_changes(demo_path: Path, number: int) -> None:
    with open_backend(demo_path, LoadSettings(context_length=512)) as small:
        said = long_chat(*(450 if turn == number else 40 for turn in range(1, 13)))
        session = Session(small, said, settings=SessionSettings(sampling=GREEDY), last_turn_id=12)
        with pytest.raises(ContextOverflow, match=f"turn {number} is too long to summarise") as raised:
            drained(session.compact(CancelToken()))
        assert session.conversation == said and f"/hide {number}," in raised.value.hint
        session.set_state([number], "left_out")
        assert drained(session.compact(CancelToken()))


def test_nothing_to_summarise_if_all_turns_are_kept(backend: LocalBackend) -> None:
    session = greedy_session(backend)
    say(session, SUM)
    before = session.conversation
    with pytest.raises(UsageError, match="nothing to summarise"):
        drained(session.compact(CancelToken(), keep=1))
    assert session.conversation == before


def test_turns_that_do_not_fit_are_named_before_they_would_be_lost(demo_path: Path) -> None:
    with open_backend(demo_path, LoadSettings(context_length=256)) as small:
        session = greedy_session(small)
        for number in range(8):
            say(session, f"What is {number} plus 3?")
        going = session.turns_to_leave_out("one two three four five " * 8)
        assert [turn.id for turn in going] == list(range(1, len(going) + 1)) and going
        assert sum(session.turn_tokens(turn) for turn in going) > 0
        session.set_state([turn.id for turn in going], "left_out")
        assert session.turns_to_leave_out("one two three four five " * 8) == ()


def test_regenerated_answer_has_the_room_of_the_old_one_and_its_turn_stays_in_the_context(demo_path: Path) -> None:
    with open_backend(demo_path, LoadSettings(context_length=256)) as small:
        session = greedy_session(small)
        say(session, "My name is Ana. " + "one two three " * 27)
        assert session.context_tokens() > 256 * 3 // 4
        assert session.turns_to_leave_out() == ()
        with pytest.raises(UsageError, match="complete"):
            session.turns_to_leave_out(resume=True)
        assert session.turns_to_leave_out(SUM) == session.conversation.turns
    with pytest.raises(UsageError, match="there are no messages"):
        greedy_session(small).turns_to_leave_out()


def test_a_new_answer_has_room_for_all_that_was_asked(demo_path: Path) -> None:
    asked = (Message("user", "Hi."), Message("user", "one two three " * 24 + SUM))
    turns = Turn(1, (Message("user", "one two three " * 6), Message("assistant", "I see.", "stop")))
    imported = Conversation(None, (turns, Turn(2, (*asked, Message("assistant", "I do not know.", "stop")))))
    with open_backend(demo_path, LoadSettings(context_length=256)) as small:
        session = Session(small, imported, settings=SessionSettings(sampling=GREEDY), last_turn_id=2)
        (first,) = session.turns_to_leave_out()
        session.set_state([first.id], "left_out")
        assert drained(session.regenerate(CancelToken()))


def test_an_answer_that_filled_the_context_continues_once_earlier_turns_are_left_out(
    endless_path: Path,
) -> None:
    with open_backend(endless_path, LoadSettings(context_length=256)) as small:
        session = greedy_session(small, max_tokens=20)
        say(session, SUM)
        session.change_settings(SessionSettings(sampling=GREEDY))
        say(session, SUM)
        first, last = session.conversation.turns
        # Counted again as a text, the last tokens may join.
        assert session.context_tokens() >= 250 and last.answer.finish_reason == "length"
        assert session.turns_to_leave_out(resume=True) == (first,)
        session.set_state([first.id], "left_out")
        assert drained(session.continue_answer(CancelToken()))
        assert session.conversation.turns[-1].state == "kept"


def test_a_turn_that_cannot_be_saved_is_reported_and_saved_with_the_next_one(
    backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERMES_CLI_DATA_DIR", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    session = Session(backend, settings=SessionSettings(sampling=GREEDY), transcript=transcript())
    assert "5" in say(session, SUM)
    assert session.saving_problem and session.transcript
    (tmp_path / "file").unlink()
    assert "5" in say(session, SUM) and not session.saving_problem
    session.transcript.close()
    assert len(read_session(session.transcript.path).conversation.turns) == 2


def saving_session(backend: LocalBackend) -> Session:
    """A greedy session that is saved to a file."""
    settings = SessionSettings(sampling=GREEDY)
    return Session(backend, settings=settings, transcript=Transcript.new(settings, None))


@pytest.mark.parametrize(("reason", "saved"), [("interrupt", False), ("hangup", True), ("terminate", True)])
def test_a_question_is_saved_when_it_is_sent(tmp_path: Path, endless: LocalBackend, reason: str, saved: bool) -> None:
    with folders_in(tmp_path):
        session, cancel = saving_session(endless), CancelToken()
        assert session.transcript
        events = session.send(SUM, cancel)
        next(events)
        assert read_session(session.transcript.path).unanswered == SUM
        events.close()
        cancel.cancel(reason)
        list(session.send("And plus 4?", cancel))
        session.transcript.close()
        unanswered = [read_session(path).unanswered for path in paths.sessions_folder().iterdir()]
    assert unanswered == (["And plus 4?"] if saved else [])
