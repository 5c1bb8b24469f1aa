"""Which turns are left out of the context: as few of the oldest as possible, and never pinned ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.chat.context_window import reserved_tokens, turns_to_leave_out
from hermes_cli.chat.conversation import Conversation, Turn, TurnState
from hermes_cli.chat.message import Message

QUESTION = (Message("user", "q" * 10),)


def count(messages: tuple[Message, ...]) -> int:
    """One token a character."""
    return sum(len(message.content) for message in messages)


def conversation(*lengths: int, pinned: tuple[int, ...] = (), system: int = 5) -> Conversation:
    """Turns of the given numbers of tokens, with ids from 1."""
    turns = []
    for number, length in enumerate(lengths, 1):
        state: TurnState = "pinned" if number in pinned else "kept"
        turns.append(Turn(number, (Message("user", "u"), Message("assistant", "a" * (length - 1))), state))
    return Conversation("s" * system, tuple(turns))


def ids(turns: tuple[Turn, ...]) -> list[int]:
    return [turn.id for turn in turns]


@pytest.mark.parametrize(
    ("room", "gone"), [(75, []), (74, [1]), (55, [1]), (54, [1, 2]), (35, [1, 2]), (34, [1, 2, 3]), (15, [1, 2, 3])]
)
def test_only_as_many_of_the_oldest_turns_as_needed_are_left_out(room: int, gone: list[int]) -> None:
    assert ids(turns_to_leave_out(conversation(20, 20, 20), QUESTION, room, count)) == gone


def test_pinned_turns_stay() -> None:
    said = conversation(20, 20, 20, pinned=(1,))
    assert ids(turns_to_leave_out(said, QUESTION, 55, count)) == [2]
    assert ids(turns_to_leave_out(said, QUESTION, 54, count)) == [2, 3]


def test_if_no_turns_help_none_are_left_out() -> None:
    assert turns_to_leave_out(conversation(20, 20, pinned=(2,)), QUESTION, 34, count) == ()
    assert turns_to_leave_out(conversation(), QUESTION, 1, count) == ()


def test_for_a_long_question_the_answer_gets_less_room() -> None:
    said = conversation(20, 20)
    assert ids(turns_to_leave_out(said, QUESTION, 14, count, tight_tokens=40)) == [1]
    assert ids(turns_to_leave_out(said, QUESTION, 14, count, tight_tokens=34)) == [1, 2]
    assert turns_to_leave_out(said, QUESTION, 14, count, tight_tokens=14) == ()


def test_turns_that_are_left_out_already_are_not_named_again() -> None:
    said = conversation(20, 20, 20).with_state(frozenset({1}), "left_out")
    assert ids(turns_to_leave_out(said, QUESTION, 54, count)) == [2]


def test_conversation_longer_than_many_contexts_is_not_counted_as_a_whole() -> None:
    asked: list[int] = []

    def counted(messages: tuple[Message, ...]) -> int:
        asked.append(count(messages))
        return asked[-1]

    assert len(turns_to_leave_out(conversation(*[20] * 5000), QUESTION, 1000, counted)) == 5000 - 49
    assert max(asked) < 5000 and len(asked) < 15


@given(st.lists(st.integers(2, 50), max_size=12), st.sets(st.integers(1, 12)), st.integers(0, 400))
def test_remaining_turns_fit_and_one_more_would_not(lengths: list[int], pinned: set[int], room: int) -> None:
    said = conversation(*lengths, pinned=tuple(pinned))
    gone = turns_to_leave_out(said, QUESTION, room, count)

    def taken(turns: tuple[Turn, ...]) -> int:
        left = said.with_state(frozenset(turn.id for turn in turns), "left_out")
        return count((*left.messages, *QUESTION))

    kept = tuple(turn for turn in said.turns if turn.state == "kept")
    assert gone == kept[: len(gone)]
    if gone:
        assert taken(gone) <= room < taken(gone[:-1])
    else:
        assert taken(()) <= room or taken(kept) > room


def test_at_most_a_quarter_of_the_context_is_reserved_for_an_answer() -> None:
    assert reserved_tokens(8192, None) == 1024
    assert reserved_tokens(512, None) == 128
    assert reserved_tokens(8192, 300) == 300
    assert reserved_tokens(512, 300) == 128
