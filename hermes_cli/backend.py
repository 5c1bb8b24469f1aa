"""The seam: all that the turn loop and the terminal know of whoever answers."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

from hermes_cli.chat.events import GenerationEvent
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What opening found: names for people, what computes (`GPU 33/33` are layers), the window, what it all takes.

    `memory_bytes` is an estimate, None where nobody made one. `notes` are what the user should know, `advice` how the
    model would be faster.
    """

    model_name: str
    description: str
    placement: str
    context_length: int
    memory_bytes: int | None
    load_s: float
    notes: tuple[str, ...] = ()
    advice: str | None = None


class Backend(Protocol):
    """A model that is ready to answer; one generation at a time."""

    @property
    def info(self) -> BackendInfo: ...

    def generate(self, request: GenerationRequest, cancel: CancelToken) -> Generator[GenerationEvent]:
        """Answer `request`: events with exactly one `Finished`, last, also after `cancel`.

        Raises ContextOverflow or UsageError before the first event, EngineError at any time.
        """
        ...

    def count_tokens(self, messages: tuple[Message, ...]) -> int:
        """How many tokens a request with these messages takes up in the window."""
        ...

    def prompt_text(self, messages: tuple[Message, ...]) -> str:
        """What the model reads when it is asked with these messages, markers included."""
        ...

    def control_text(self, messages: tuple[Message, ...]) -> tuple[str, ...]:
        """Markers of the model that are spelled out in the messages, where they count as ordinary text."""
        ...

    def close(self) -> None:
        """Free everything; closing twice is harmless."""
        ...
