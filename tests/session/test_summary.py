"""Which summaries replace the turns of a chat, and what is said about the others; a local server writes them."""

from collections.abc import Iterator

import pytest

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.events import TurnEvent
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken
from hermes_cli.remote.address import parse_address
from hermes_cli.remote.backend import EndpointOptions, open_remote
from hermes_cli.session.session import Session
from tests.remote.odd_server import Reply, events, odd_server
from tests.remote.test_backend_chat import finish, text_delta

ABOUT_NUMBERS = (
    "Mira added numbers from 1 to 16, each with 7, and wants them in a table with the columns first and sum. "
)


def chat(turns: int) -> Conversation:
    """Sums, as in the chat of 16 turns whose summary was one false sentence."""
    said = [
        (Message("user", f"Mira asks: what is {n} plus 7, please?"), Message("assistant", f"{n} plus 7 is {n + 7}."))
        for n in range(1, turns + 1)
    ]
    return Conversation(None, tuple(Turn(number, turn) for number, turn in enumerate(said, 1)))


def compacted(said: Conversation, summary: str, reason: str = "stop") -> tuple[Session, str]:
    """A chat after an attempt to summarise it, and what was wrong with the summary."""

    with odd_server() as server:
        backend = open_remote(EndpointOptions(parse_address(server.url), context_length=4096))
        server.replies = [Reply(events(text_delta(summary), finish(reason)))]
        session = Session(backend, said, last_turn_id=len(said.turns))
        faults = list[str]()

        def run() -> Iterator[TurnEvent]:
            faults.append((yield from session.compact(CancelToken())))

        list(run())
        backend.close()
    return session, faults[0]


@pytest.mark.parametrize(
    ("summary", "reason", "fault"),
    [
        ("", "stop", "the model wrote no text"),
        (" \n...\n", "stop", "the model wrote no text"),
        ("The user asked about numbers.", "stop", "too short for"),
        (ABOUT_NUMBERS, "length", "it was cut off"),
        (ABOUT_NUMBERS * 30, "stop", "it would take up"),
    ],
)
def test_a_summary_that_cannot_replace_the_turns_changes_nothing(summary: str, reason: str, fault: str) -> None:
    session, said = compacted(chat(16), summary, reason)
    assert fault in said
    assert session.conversation == chat(16)


def test_a_summary_longer_than_two_short_turns_changes_nothing() -> None:
    session, said = compacted(chat(2), ABOUT_NUMBERS)
    assert "it would take up" in said
    assert session.conversation == chat(2)


def test_a_plausible_summary_replaces_the_turns() -> None:
    session, said = compacted(chat(16), ABOUT_NUMBERS)
    assert said == ""
    assert [turn.state for turn in session.conversation.turns] == ["left_out"] * 16 + ["pinned"]
