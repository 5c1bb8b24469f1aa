"""The conversation, turn by turn, as immutable values."""

import itertools
from dataclasses import replace
from typing import Literal

from hermes_cli.chat.message import Message
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.values import dataclass

TurnState = Literal["kept", "pinned", "left_out"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A user's message and everything up to the final answer.

    `id` is unique in its session. A pinned turn always stays in the context; one that is left out is saved and
    shown, but the model no longer reads it.
    """

    id: int
    messages: tuple[Message, ...]
    state: TurnState = "kept"

    @property
    def question(self) -> str:
        """The user's text."""
        return self.messages[0].content

    @property
    def questions(self) -> tuple[Message, ...]:
        """The messages before the first answer: one, or several in some imported conversations."""
        return tuple(itertools.takewhile(lambda one: one.role == "user", self.messages)) or self.messages[:1]

    @property
    def answer(self) -> Message:
        """The last message of the model; unfinished if it was stopped or cut."""
        return next((one for one in reversed(self.messages) if one.role == "assistant"), self.messages[-1])


@dataclass(frozen=True, slots=True)
class Conversation:
    """A system prompt, None where there is none, and turns in order; `tools` are offered in the system prompt."""

    system_prompt: str | None = None
    turns: tuple[Turn, ...] = ()
    tools: tuple[ToolSchema, ...] = ()

    @property
    def opening(self) -> tuple[Message, ...]:
        """The messages before the first turn."""
        return () if self.system_prompt is None else (Message("system", self.system_prompt, tools=self.tools),)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that the model reads."""
        said = (message for turn in self.turns if turn.state != "left_out" for message in turn.messages)
        return (*self.opening, *said)

    def plus(self, turn: Turn) -> "Conversation":
        """This conversation with `turn` at its end."""
        return replace(self, turns=(*self.turns, turn))

    def without_last(self, count: int = 1) -> "Conversation":
        """This conversation without its last turns."""
        return replace(self, turns=self.turns[: max(len(self.turns) - count, 0)])

    def first(self, count: int | None) -> "Conversation":
        """This conversation with its first turns only; None: with all."""
        return replace(self, turns=self.turns[:count])

    def with_state(self, ids: frozenset[int], state: TurnState) -> "Conversation":
        """This conversation with the turns of these ids pinned, left out or kept."""
        turns = tuple(replace(turn, state=state) if turn.id in ids else turn for turn in self.turns)
        return replace(self, turns=turns)
