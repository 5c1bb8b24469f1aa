"""How the next token is chosen: the sampler chain built from the values that were decided."""

from dataclasses import replace
from typing import Any

from hermes_cli.chat.sampling import SamplingValues
from hermes_cli.engine.llama.context import Context, Sampler, bias_array
from hermes_cli.engine.llama.masked_sampler import MaskedSampler

REPEAT_WINDOW_TOKENS = 64
_CANDIDATES = 64  # without a top-k: rarer tokens count only where none of these may follow
_OTHER_SEED = 0x9E3779B9
_COLDEST = 1e-3  # below it only the likeliest token is left, and 1/temperature overflows


def sampler(
    values: SamplingValues,
    vocab_size: int,
    logit_bias: tuple[tuple[int, float], ...] = (),
    *,
    on_device: bool = False,
) -> Sampler:
    """The chain, top-k first: penalties and probabilities over a whole vocabulary of 128k cost 0.7 ms a token.

    `on_device`: for `Context.attach`.
    """
    penalised = values.repeat_penalty != 1.0
    steps: list[tuple[str, tuple[Any, ...]]] = []
    if logit_bias:
        steps.append(("logit_bias", (vocab_size, len(logit_bias), bias_array(logit_bias))))
    if values.top_k and (penalised or values.temperature >= _COLDEST):
        steps.append(("top_k", (values.top_k,)))
    if penalised:
        steps.append(("penalties", (vocab_size, REPEAT_WINDOW_TOKENS, values.repeat_penalty, 0.0, 0.0)))
    choice = _choice(values)
    if on_device and choice == [("greedy", ())]:
        choice = [("top_k", (1,)), ("dist", (0,))]  # there, greedy returns a place among the candidates of a top-k
    return Sampler([*steps, *choice])


def masked_sampler(values: SamplingValues, context: Context) -> MaskedSampler:
    """The same for constrained text. The penalty applies to its `repeated` tokens only: JSON repeats its structure."""
    # The second choice has its own seed: with that of the first it would favour the tokens just refused.
    again = replace(values, seed=values.seed ^ _OTHER_SEED)
    masked = MaskedSampler(context, values.top_k or _CANDIDATES, _choice(values), _choice(again))
    masked.repeat_penalty = values.repeat_penalty
    return masked


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
