"""Conversations are values: extending one makes another."""

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.message import Message

HELLO, ANSWER = Message("user", "Hello"), Message("assistant", " Hi!\n")


def test_a_conversation_begins_empty() -> None:
    assert Conversation().messages == ()


def test_messages_are_added_at_the_end_in_order() -> None:
    assert Conversation((HELLO,)).plus(ANSWER, HELLO).messages == (HELLO, ANSWER, HELLO)


def test_the_conversation_that_is_extended_stays_as_it_was() -> None:
    before = Conversation((HELLO,))
    before.plus(ANSWER)
    assert before == Conversation((HELLO,))
