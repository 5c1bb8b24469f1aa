"""A generated conversation and which of its answers the model learns."""

from dataclasses import dataclass

from hermes_cli.chat.message import Message

Exchange = tuple[str, str]  # a question and its answer


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages that end with an answer. Answers before `learned_from` (cut or deliberately wrong) are only read."""

    messages: tuple[Message, ...]
    learned_from: int = 0

    @property
    def prompt(self) -> tuple[Message, ...]:
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        return self.messages[-1].content
