"""The interface of a model, local or remote, as the session, the commands and the terminal use it."""

from collections.abc import Generator
from typing import Protocol

from hermes_cli.chat.events import GenerationEvent
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """Facts about an open backend.

    `placement` says what computes: `GPU 33/33` (layers), `CPU, 2 threads` or a server's address. `memory_bytes` is an
    estimate, None if there is none. `notes` are messages for the user, `advice` says how the model would be faster.
    With `exact_token_counts`, `count_tokens` equals the usage of the same request; otherwise it is an estimate. With
    `keeps_control_text`, control tokens spelled out in a message reach the model unchanged as ordinary text; otherwise
    they are altered so that they are not control tokens. `adapters` are the paths and scales of LoRA adapters in use.
    """

    model_name: str
    description: str
    placement: str
    context_length: int
    memory_bytes: int | None
    load_s: float
    notes: tuple[str, ...] = ()
    advice: str | None = None
    exact_token_counts: bool = True
    keeps_control_text: bool = True
    adapters: tuple[tuple[str, float], ...] = ()


class Backend(Protocol):
    """A model that is ready to answer, one generation at a time. Every backend passes tests/backend_contract.py."""

    @property
    def info(self) -> BackendInfo:
        """Facts about the model and how it runs."""
        ...

    def generate(self, request: GenerationRequest, cancel: CancelToken) -> Generator[GenerationEvent]:
        """Answer `request`: events with exactly one `Finished`, last, also after `cancel`.

        Closing the generator early stops the work. Raises ContextOverflow or UsageError before the first event,
        other HermesErrors at any time.
        """
        ...

    def count_tokens(self, messages: tuple[Message, ...]) -> int:
        """The number of context tokens that a request with these messages takes."""
        ...

    def prompt_text(self, messages: tuple[Message, ...]) -> str:
        """The prompt of a request with these messages, markers included."""
        ...

    def control_text(self, messages: tuple[Message, ...]) -> tuple[str, ...]:
        """The control tokens of the model that are spelled out in the messages; they never act as control tokens."""
        ...

    def close(self) -> None:
        """Free everything; closing twice is harmless. Afterwards the other methods raise EngineError."""
        ...
