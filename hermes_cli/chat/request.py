"""A request to a model: messages, sampling and limits, and the token that cancels it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any

from hermes_cli.chat.message import Message
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.values import dataclass

TOOL_TIMEOUT_S = 30  # of one call
MOST_ROUNDS = 5  # of tool calls in one turn
MOST_GRAMMAR_BYTES = 64 << 10
MOST_REPAIRS = 2  # of an answer that does not satisfy its schema


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One model call. `max_tokens` limits the answer, None lets it run to the end of the context.

    While `constrained`, only calls of `tools` can be written, as `tool_choice` says: auto, none, required or a name;
    with `schema`, a JSON Schema, nothing but JSON that satisfies it; with `grammar`, in GBNF, nothing else than that
    allows. `prompt` are token ids that are used instead of `messages`; `logit_bias` are (token id, bias) pairs; with
    `top_logprobs` every text delta carries its tokens.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[ToolSchema, ...] = ()
    tool_choice: str = "auto"
    schema: Mapping[str, Any] | bool | None = None
    grammar: str | None = None
    constrained: bool = True
    prompt: tuple[int, ...] | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    top_logprobs: int | None = None

    @property
    def must_call(self) -> bool:
        """Whether the answer has to be a call of a tool."""
        return self.tool_choice not in ("auto", "none")


class CancelToken:
    """Stops a load or a generation from a signal handler or another thread; the first reason is kept."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self.reason is not None

    @property
    def stopper(self) -> str:
        """What stopped the answer, in words for the model."""
        return "the time limit" if self.reason == "timeout" else "the user"

    def cancel(self, reason: str) -> None:
        """Request the stop; safe in signal handlers, because it takes no lock."""
        if self.reason is None:
            self.reason = reason
            for callback in tuple(self._callbacks):
                callback()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback` on cancel while the block runs, at once if it is cancelled already."""
        self._callbacks.append(callback)
        try:
            if self.cancelled:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)
