"""A chat in progress on the demo model: what of a turn enters the conversation, and what does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, Sampling
from hermes_cli.engine.local_backend import LoadOptions, LocalBackend, open_backend
from hermes_cli.errors import ContextOverflow
from hermes_cli.session import Session
from tests.conftest import BrokenLibrary, Script

GREEDY = Sampling(temperature=0, repeat_penalty=1)
SUM = "What is 2 plus 3?"


@pytest.fixture(scope="module")
def endless(endless_path: Path) -> Iterator[LocalBackend]:
    """A backend whose answers never end by themselves."""
    with open_backend(endless_path, LoadOptions(context_length=2048)) as opened:
        yield opened


def say(session: Session, text: str) -> str:
    """Send `text` and return the whole answer."""
    events = list(session.send(text, CancelToken()))
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_a_turn_enters_the_conversation_when_it_ends(backend: LocalBackend) -> None:
    session = Session(backend, sampling=GREEDY)
    told = say(session, SUM)
    assert session.conversation.messages == (Message("user", SUM), Message("assistant", told))


def test_without_a_system_prompt_none_is_invented(backend: LocalBackend) -> None:
    assert Session(backend).conversation.messages == ()


@pytest.mark.parametrize("prompt", ["You are Brinda.", "", " \n"])
def test_a_system_prompt_opens_the_conversation_as_it_is(backend: LocalBackend, prompt: str) -> None:
    assert Session(backend, system_prompt=prompt).conversation.messages == (Message("system", prompt),)


def test_the_model_remembers_earlier_turns(backend: LocalBackend) -> None:
    session = Session(backend, sampling=GREEDY)
    say(session, "My name is Ana.")
    assert "Ana" in say(session, "What is my name?")
    assert len(session.conversation.messages) == 4


def test_limits_and_stop_strings_hold_for_every_turn(backend: LocalBackend) -> None:
    session = Session(backend, sampling=GREEDY, max_tokens=3, stop=("plus",))
    for _ in range(2):
        assert say(session, SUM) == "2 "
    short = Session(backend, sampling=GREEDY, max_tokens=3)
    last = list(short.send(SUM, CancelToken()))[-1]
    assert isinstance(last, Finished) and last.reason == "length"


def test_a_stopped_answer_keeps_the_turn_with_what_was_said(endless: LocalBackend) -> None:
    session, cancel = Session(endless, sampling=GREEDY), CancelToken()
    pieces: list[str] = []
    for event in session.send(SUM, cancel):
        if isinstance(event, TextDelta):
            pieces.append(event.text)
            cancel.cancel("interrupt")
    assert session.conversation.messages == (Message("user", SUM), Message("assistant", "".join(pieces)))


def test_a_turn_stopped_before_any_text_is_withdrawn(endless: LocalBackend) -> None:
    session, cancel = Session(endless, sampling=GREEDY), CancelToken()
    cancel.cancel("interrupt")
    list(session.send(SUM, cancel))
    assert session.conversation.messages == ()


def test_leaving_a_turn_keeps_what_was_seen(endless: LocalBackend) -> None:
    session = Session(endless, sampling=GREEDY)
    events = session.send(SUM, CancelToken())
    seen = next(event.text for event in events if isinstance(event, TextDelta))
    events.close()
    assert session.conversation.messages == (Message("user", SUM), Message("assistant", seen))


def test_a_turn_that_is_refused_is_withdrawn_and_the_next_one_works(backend: LocalBackend) -> None:
    session = Session(backend, sampling=GREEDY)
    with pytest.raises(ContextOverflow):
        say(session, "word " * 5000)
    assert session.conversation.messages == ()
    assert "5" in say(session, SUM)


FAILING = """
import sys
from pathlib import Path
from hermes_cli.chat.events import TextDelta
from hermes_cli.chat.request import CancelToken, Sampling
from hermes_cli.engine.local_backend import LoadOptions, open_backend
from hermes_cli.errors import EngineError
from hermes_cli.session import Session

backend = open_backend(Path(sys.argv[1]), LoadOptions(context_length=512))
session = Session(backend, sampling=Sampling(temperature=0, repeat_penalty=1))
seen = ""
try:
    for event in session.send("Hello, who are you?", CancelToken()):
        if isinstance(event, TextDelta):
            seen += event.text
except EngineError as error:
    print(error)
print(seen != "" and seen == session.conversation.messages[1].content)
print(len(backend._ledger) == backend._context.position())
session = Session(backend, sampling=Sampling(temperature=0, repeat_penalty=1))
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
