"""How the next token is chosen: the defaults of the Hermes 3 model card, and the sampler chain built from a request."""

import os
from dataclasses import dataclass, replace
from typing import Any

from hermes_cli.chat.request import SAMPLING_RANGES, Sampling
from hermes_cli.engine.llama.context import Context, Sampler, bias_array
from hermes_cli.engine.llama.masked_sampler import MaskedSampler
from hermes_cli.errors import UsageError

REPEAT_WINDOW_TOKENS = 64
_CANDIDATES = 64  # without a top-k: rarer tokens count only where none of these may follow
_OTHER_SEED = 0x9E3779B9
_COLDEST = 1e-3  # below it only the likeliest token is left, and 1/temperature overflows


@dataclass(frozen=True, slots=True)
class SamplingValues:
    """Every value decided; the defaults are the model card's (top_k is that of its `generate` call)."""

    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 1.0
    min_p: float = 0.0
    repeat_penalty: float = 1.1
    seed: int = 0


def decide(sampling: Sampling) -> SamplingValues:
    """Fill in what the request leaves open; a seed that is not given is drawn at random. Raises UsageError."""
    default = SamplingValues()
    values = SamplingValues(
        temperature=_or(sampling.temperature, default.temperature),
        top_k=int(_or(sampling.top_k, default.top_k)),
        top_p=_or(sampling.top_p, default.top_p),
        min_p=_or(sampling.min_p, default.min_p),
        repeat_penalty=_or(sampling.repeat_penalty, default.repeat_penalty),
        seed=int.from_bytes(os.urandom(4), "big") if sampling.seed is None else sampling.seed,
    )
    for name, (low, high) in SAMPLING_RANGES.items():
        value = getattr(values, name)
        if not low <= value <= high:
            raise UsageError(
                f"--{name.replace('_', '-')} {value} is out of range", f"give a number from {low} to {high}"
            )
    return values


def sampler(values: SamplingValues, vocab_size: int, logit_bias: tuple[tuple[int, float], ...] = ()) -> Sampler:
    """The chain, top-k first: penalties and probabilities over a whole vocabulary of 128k cost 0.7 ms a token."""
    penalised = values.repeat_penalty != 1.0
    steps: list[tuple[str, tuple[Any, ...]]] = []
    if logit_bias:
        steps.append(("logit_bias", (vocab_size, len(logit_bias), bias_array(logit_bias))))
    if values.top_k and (penalised or values.temperature >= _COLDEST):
        steps.append(("top_k", (values.top_k,)))
    if penalised:
        steps.append(("penalties", (vocab_size, REPEAT_WINDOW_TOKENS, values.repeat_penalty, 0.0, 0.0)))
    return Sampler([*steps, *_choice(values)])


def masked_sampler(values: SamplingValues, context: Context) -> MaskedSampler:
    """The same for constrained text. Without the repeat penalty: JSON repeats its quotes and keys."""
    # The second choice has dice of its own: those of the first have just shown what is not allowed.
    again = replace(values, seed=values.seed ^ _OTHER_SEED)
    return MaskedSampler(context, values.top_k or _CANDIDATES, _choice(values), _choice(again))


def _choice(values: SamplingValues) -> list[tuple[str, tuple[float, ...]]]:
    """The last steps of a chain, which settle on one token."""
    if values.temperature < _COLDEST:
        return [("greedy", ())]
    steps: list[tuple[str, tuple[float, ...]]] = []
    if values.top_p < 1:
        steps.append(("top_p", (values.top_p, 1)))
    if values.min_p > 0:
        steps.append(("min_p", (values.min_p, 1)))
    return [*steps, ("temp", (values.temperature,)), ("dist", (values.seed,))]


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
