"""How the next token is chosen: the sampler chain, from the values decided.

The order of the chain: logit bias, top-k, repetition penalties, DRY, typical-p, top-p, min-p, XTC, temperature. Where
the penalties count the prompt, or with top-n-sigma, it begins: logit bias, penalties, DRY, top-n-sigma, top-k. With
Mirostat the chain is logit bias, penalties, DRY, temperature, Mirostat.
"""

from typing import Any

from hermes_cli.chat.sampling import ALL_TOKENS, SamplingValues, bias_pairs
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.masked_sampler import MaskedSampler
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.llama.sampler import Sampler, bias_array
from hermes_cli.engine.load_options import SELECTED_TOKENS
from hermes_cli.errors import UsageError

Steps = list[tuple[str, tuple[Any, ...]]]
_CANDIDATES = 64  # without a top-k: rarer tokens count only where none of these may follow
_OTHER_SEED = 0x9E3779B9
_NO_SEED = 0xFFFFFFFF  # llama.cpp draws a random one instead
_COLDEST = 1e-3  # below it only the likeliest token is left, and 1/temperature overflows
_MIROSTAT_TOKENS = 100  # from which its first version estimates
_MOST_SELECTED = 1024  # no time is saved by more, and llama.cpp aborts above 131,072


def biases(
    values: SamplingValues, more: tuple[tuple[int, float], ...], vocab_size: int
) -> tuple[tuple[int, float], ...]:
    """All (token id, bias) pairs. Raises UsageError for an id that no token has."""
    found = (*bias_pairs(values.logit_bias), *more)
    unknown = [str(token) for token, _ in found if token >= vocab_size]
    if unknown:
        raise UsageError(
            f"logit_bias: no token of this model has the id {', '.join(unknown[:5])}",
            f"its ids are 0 to {vocab_size - 1}",
        )
    return found


def sampler(
    values: SamplingValues,
    model: Model,
    logit_bias: tuple[tuple[int, float], ...] = (),
    *,
    context_length: int,
) -> Sampler:
    """The chain, top-k first where it can be: work on a whole vocabulary of 128k costs 0.7 ms a token."""
    steps: Steps = []
    if logit_bias:
        steps.append(("logit_bias", (model.vocab_size, len(logit_bias), bias_array(logit_bias))))
    penalties = _penalties(values, model, context_length)
    if values.mirostat and values.temperature >= _COLDEST:
        return Sampler([*steps, *penalties, *_temperature(values), _mirostat(values, model.vocab_size)])
    if values.penalises_first:
        steps += penalties
    if values.top_n_sigma and values.temperature >= _COLDEST:
        steps.append(("top_n_sigma", (values.top_n_sigma,)))
    if values.top_k and (penalties or values.temperature >= _COLDEST):
        steps.append(("top_k", (values.top_k,)))
    if not values.penalises_first:
        steps += penalties
    return Sampler([*steps, *_choice(values, values.seed, xtc=True)])


def candidates(values: SamplingValues, logit_bias: tuple[tuple[int, float], ...] = ()) -> int:
    """How many of the likeliest tokens are enough for the chain, which then chooses as among all; 0 for all of them."""
    if logit_bias or values.penalises_first:
        return 0
    only_best = values.temperature < _COLDEST and not (values.penalises or values.uses_dry)
    needed = 1 if only_best else values.top_k
    if not 0 < needed <= _MOST_SELECTED:
        return 0
    return max(needed, SELECTED_TOKENS)  # mostly the same number, because a change costs time


def masked_sampler(values: SamplingValues, context: Context) -> MaskedSampler:
    """The same for constrained text, without what would damage its structure: DRY, XTC, Mirostat, top-n-sigma.

    The penalties apply to the `repeated` tokens of the sampler only.
    """
    # The second choice has its own seed: with that of the first it would favour the tokens just refused.
    first, again = (_choice(values, seed) for seed in (values.seed, values.seed ^ _OTHER_SEED))
    masked = MaskedSampler(context, values.top_k or _CANDIDATES, first, again)
    masked.penalties = (values.repeat_penalty, values.frequency_penalty, values.presence_penalty)
    return masked


def _penalties(values: SamplingValues, model: Model, context_length: int) -> Steps:
    """The steps that count tokens which occurred before."""

    def window(last_n: int) -> int:
        return context_length if last_n == ALL_TOKENS else min(last_n, context_length)

    steps: Steps = []
    if values.penalises:
        rates = (values.repeat_penalty, values.frequency_penalty, values.presence_penalty)
        steps.append(("penalties", (model.vocab_size, window(values.repeat_last_n), *rates)))
    if values.uses_dry:
        shape = (values.dry_multiplier, values.dry_base, values.dry_allowed_length, window(values.dry_penalty_last_n))
        steps.append(("dry", model.dry_arguments(*shape)))
    return steps


def _choice(values: SamplingValues, seed: int, *, xtc: bool = False) -> Steps:
    """The last steps of a chain, which settle on one token."""
    if values.temperature < _COLDEST:
        return [("greedy", ())]
    seed = _fixed(seed)
    steps: Steps = []
    if values.typical_p < 1:
        steps.append(("typical", (values.typical_p, 1)))
    if values.top_p < 1:
        steps.append(("top_p", (values.top_p, 1)))
    if values.min_p > 0:
        steps.append(("min_p", (values.min_p, 1)))
    if xtc and values.xtc_probability:
        steps.append(("xtc", (values.xtc_probability, values.xtc_threshold, 1, seed)))
    return [*steps, *_temperature(values), ("dist", (seed,))]


def _temperature(values: SamplingValues) -> Steps:
    if values.dynatemp_range:
        return [("temp_ext", (values.temperature, values.dynatemp_range, values.dynatemp_exponent))]
    return [("temp", (values.temperature,))]


def _mirostat(values: SamplingValues, vocab_size: int) -> tuple[str, tuple[Any, ...]]:
    goal = (values.mirostat_tau, values.mirostat_eta)
    seed = _fixed(values.seed)
    if values.mirostat == 1:
        return "mirostat", (vocab_size, seed, *goal, _MIROSTAT_TOKENS)
    return "mirostat_v2", (seed, *goal)


def _fixed(seed: int) -> int:
    """A seed that repeats its answer, also if the one given would not."""
    return 0 if seed == _NO_SEED else seed
