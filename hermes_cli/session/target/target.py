"""What answers: a model file on this machine (`local`) or a model on a server (`remote`)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from hermes_cli.backend import Backend
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.engine.load_options import Adapter
from hermes_cli.formats.segment import Segment
from hermes_cli.session.choices import Choices
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class WrittenPrompt:
    """A prompt as the model would get it. `tokens` and `segments` are known only for a model on this machine."""

    text: str
    token_count: int
    control_text: tuple[str, ...]
    tokens: list[int] | None = None
    segments: tuple[Segment, ...] | None = None
    adapters: tuple[Adapter, ...] = ()


class Target(Protocol):
    """The model or server that was chosen, before it is opened."""

    @property
    def name(self) -> str:
        """The model's name, as a session saves it; the server's until the model is known."""
        ...

    @property
    def is_demo(self) -> bool:
        """Whether it is the demo model."""
        ...

    @property
    def file(self) -> Path | None:
        """The file of a model on this machine."""
        ...

    def saved(self, choices: Choices) -> Choices:
        """The choices as a session saves them."""
        ...

    def constraint_notes(self, choices: Choices, tools: Sequence[ToolSchema]) -> tuple[str, ...]:
        """Notes on parts of the schema and `tools` that are only checked afterwards, and on options without effect.

        Raises UsageError, EngineError.
        """
        ...

    def written(self, messages: tuple[Message, ...]) -> WrittenPrompt:
        """The prompt of these messages. Raises HermesError."""
        ...

    def open(self, cancel: CancelToken, on_progress: Callable[[float], None]) -> Backend:
        """The model, ready to answer. Raises LoadCancelled, HermesError."""
        ...
