"""The messages of a chat so far: a value, extended by making a new one."""

from dataclasses import dataclass

from hermes_cli.chat.message import Message


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in the order they were said."""

    messages: tuple[Message, ...] = ()

    def plus(self, *messages: Message) -> "Conversation":
        """This conversation with `messages` at its end."""
        return Conversation(self.messages + messages)
