"""Events of an answer while it is generated: a closed union for `match`. Exactly one `Finished`, last."""

from hermes_cli.chat.message import FinishReason
from hermes_cli.chat.tool_call import ToolCall, ToolResult
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """The number of prompt tokens that are processed, cached ones included, and their total."""

    read_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with the natural logarithm of its probability; `top` are the likeliest tokens at its place."""

    token: int
    piece: bytes
    logprob: float
    top: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer: whole characters, never empty; fast models deliver several tokens at once.

    `tokens` are what was generated since the last delta, if the request asked for log probabilities.
    """

    text: str
    tokens: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """The next piece of the reasoning before the answer; never empty, and not a part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallReady:
    """The model has written a call, which the user may have to confirm."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """An approved call starts."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """The result of a call. `control_text` lists the model's markers that the result spells out as text."""

    result: ToolResult
    control_text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResultsCut:
    """Each result of the round is cut to `limit` characters, because the context cannot hold more."""

    limit: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer; `cached_tokens` of the prompt were already in the KV cache."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of one answer: until the prompt was processed, until the first token, and for the tokens after it."""

    prefill_s: float = 0.0
    first_token_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a generation, also after a cancel. `seed` is the one that was used, so the answer can be repeated.

    `context_tokens` is how much of the context is used now.
    """

    reason: FinishReason
    usage: Usage
    timings: Timings
    seed: int
    context_tokens: int = 0


GenerationEvent = PromptProgress | ThinkingDelta | TextDelta | Finished
TurnEvent = GenerationEvent | ToolCallReady | ToolStarted | ToolFinished | ResultsCut
