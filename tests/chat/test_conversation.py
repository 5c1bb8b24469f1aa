"""Conversations are immutable: changing one creates another."""

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.message import Message

HELLO, ANSWER = Message("user", "Hello"), Message("assistant", " Hi!\n", "stop")
FIRST, SECOND = Turn(1, (HELLO, ANSWER)), Turn(2, (Message("user", "More"), Message("assistant", "Well", "cancelled")))


def test_a_conversation_begins_empty() -> None:
    assert Conversation().messages == ()


def test_a_system_prompt_opens_it_even_an_empty_one() -> None:
    assert Conversation("").messages == (Message("system", ""),)


def test_turns_are_added_at_the_end_and_the_conversation_before_stays_as_it_was() -> None:
    before = Conversation("Be brief.", (FIRST,))
    assert before.plus(SECOND).messages == (Message("system", "Be brief."), *FIRST.messages, *SECOND.messages)
    assert before == Conversation("Be brief.", (FIRST,))


def test_a_turn_knows_its_question_and_its_answer() -> None:
    assert (SECOND.question, SECOND.answer.finish_reason) == ("More", "cancelled")


def test_the_last_turns_can_be_taken_away() -> None:
    said = Conversation(None, (FIRST, SECOND))
    assert said.without_last().turns == (FIRST,)
    assert said.without_last(0) == said
    assert said.without_last(5).turns == ()


def test_turn_left_out_is_kept_but_not_sent() -> None:
    said = Conversation("Be brief.", (FIRST, SECOND)).with_state(frozenset({1}), "left_out")
    assert said.messages == (Message("system", "Be brief."), *SECOND.messages)
    assert [turn.id for turn in said.turns] == [1, 2]
    assert said.with_state(frozenset({1}), "kept") == Conversation("Be brief.", (FIRST, SECOND))
