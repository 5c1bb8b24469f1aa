"""How the next token is chosen: the one table of its values.

Options, settings, presets, sessions, `/set`, the fields of the server and the help are made from the table: a new value
is one entry here, and a step of the chain in `engine/decoding/sampling.py`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields, replace
from typing import TYPE_CHECKING, Any, Generic, Never

from hermes_cli.chat.key import LARGEST, Key, Value
from hermes_cli.errors import UsageError
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Unset = TypeVar("Unset", default=None, covariant=True)
else:
    from typing import TypeVar

    Unset = TypeVar("Unset", covariant=True)

ALL_TOKENS = -1
_ALL = {"all": ALL_TOKENS}
_NO_BIAS = "none"
_BIAS = r"\d{1,9}=[+-]?(100|\d{1,2}(\.\d+)?)"


PENALTIES, DRY = "Repetition penalties", "DRY (penalises repeated sequences)"
REMAINING, ADAPTIVE, TOKENS = "Filters", "Adaptive temperature", "Logit bias"


@dataclass(frozen=True, slots=True)
class SamplingKey(Key):
    """A value of the sampling; `usual` is that of the model card. Without a `group` every help page shows it."""

    usual: Value | None = None
    metavar: str = ""
    group: str = ""


def _number(
    help: str,
    usual: float,
    low: float,
    high: float,
    metavar: str,
    group: str = "",
    words: Mapping[str, int] | None = None,
) -> Any:
    """A number: whole if `usual` is; `words` stand for some of its values."""
    return _entry(
        SamplingKey(
            type(usual),
            help,
            otherwise=next((word for word, meaning in (words or {}).items() if meaning == usual), f"{usual:g}"),
            low=low,
            high=high,
            choices=tuple(words or ()),
            example=usual,
            meanings=words or {},
            usual=usual,
            metavar=metavar,
            group=group,
        )
    )


def _entry(key: SamplingKey) -> Any:
    return field(default=None, metadata={"key": key})


@dataclass(frozen=True, slots=True)
class Sampling(Generic[Unset]):
    """How the next token is chosen; None leaves a value to the backend, which for Hermes takes that of `MODEL_CARD`.

    The fields, in this order, are the table. The penalties and DRY count the last tokens of the answer, or with the
    `repeat_scope` all of prompt and answer; `ALL_TOKENS` stands for every token. `logit_bias` is text such as
    `42=-100,7=2.5`.
    """

    temperature: float | Unset = _number("Randomness; 0 always picks the most likely token.", 0.8, 0, 100, "T")
    top_k: int | Unset = _number("Sample from the K most likely tokens (0 = all).", 50, 0, LARGEST, "K")
    top_p: float | Unset = _number(
        "Sample from the most likely tokens up to this total probability (1 = off).", 1.0, 0, 1, "P"
    )
    min_p: float | Unset = _number(
        "Drop tokens whose probability is below this fraction of the highest (0 = off).", 0.0, 0, 1, "P"
    )
    repeat_penalty: float | Unset = _number(
        "Penalise tokens that already occurred, by this factor (1 = off).", 1.1, 0.01, 100, "R"
    )
    seed: int | Unset = _entry(
        SamplingKey(
            int,
            "Random seed; the same seed repeats the answer.",
            otherwise="random",
            low=0,
            high=2**32 - 1,
            example=42,
            metavar="N",
        )
    )
    repeat_last_n: int | Unset = _number(
        "Number of recent tokens to penalise (0 = none).", 64, ALL_TOKENS, LARGEST, "N|all", PENALTIES, _ALL
    )
    repeat_scope: str | Unset = _entry(
        SamplingKey(
            str,
            "Apply the penalties to tokens of the answer, or of prompt and answer (all).",
            otherwise="answer",
            choices=("answer", "all"),
            example="answer",
            usual="answer",
            metavar="answer|all",
            group=PENALTIES,
        )
    )
    presence_penalty: float | Unset = _number(
        "Penalise tokens that already occurred, by a fixed amount (0 = off).", 0.0, -2, 2, "P", PENALTIES
    )
    frequency_penalty: float | Unset = _number(
        "Penalise tokens by how often they occurred (0 = off).", 0.0, -2, 2, "P", PENALTIES
    )
    dry_multiplier: float | Unset = _number(
        "DRY: penalise repeating a sequence that already occurred (0 = off).", 0.0, 0, 100, "M", DRY
    )
    dry_base: float | Unset = _number(
        "DRY: factor by which the penalty grows with each further token.", 1.75, 1, 10, "B", DRY
    )
    dry_allowed_length: int | Unset = _number(
        "DRY: longest sequence that may repeat without a penalty.", 2, 0, LARGEST, "N", DRY
    )
    dry_penalty_last_n: int | Unset = _number(
        "DRY: number of recent tokens to search (0 = none).", ALL_TOKENS, ALL_TOKENS, LARGEST, "N|all", DRY, _ALL
    )
    top_n_sigma: float | Unset = _number(
        "Drop tokens more than N standard deviations below the best (0 = off).", 0.0, 0, 100, "N", REMAINING
    )
    typical_p: float | Unset = _number(
        "Sample from the most typical tokens up to this total probability (1 = off).", 1.0, 0, 1, "P", REMAINING
    )
    xtc_probability: float | Unset = _number(
        "XTC: chance of dropping all likely tokens but the least likely (0 = off).", 0.0, 0, 1, "P", REMAINING
    )
    xtc_threshold: float | Unset = _number(
        "XTC: probability above which a token counts as likely (above 0.5 = off).", 0.1, 0, 1, "P", REMAINING
    )
    dynatemp_range: float | Unset = _number(
        "Vary the temperature by up to T with the model's uncertainty (0 = off).", 0.0, 0, 100, "T", ADAPTIVE
    )
    dynatemp_exponent: float | Unset = _number("Exponent of the dynamic temperature.", 1.0, 0, 100, "E", ADAPTIVE)
    mirostat: int | Unset = _number(
        "Mirostat version 1 or 2: keep the perplexity near a target (0 = off).", 0, 0, 2, "0|1|2", ADAPTIVE
    )
    mirostat_tau: float | Unset = _number("Mirostat: target entropy.", 5.0, 0, 100, "T", ADAPTIVE)
    mirostat_eta: float | Unset = _number("Mirostat: learning rate.", 0.1, 0, 1, "E", ADAPTIVE)
    logit_bias: str | None = _entry(
        SamplingKey(
            str,
            "Add a bias to the logits of these token ids (-100 = never).",
            otherwise=_NO_BIAS,
            example="42=-100",
            form="none or ID=BIAS, separated by commas, each bias from -100 to 100",
            pattern=rf"{_NO_BIAS}|{_BIAS}(,{_BIAS})*",
            metavar="ID=BIAS,...",
            group=TOKENS,
        )
    )

    @property
    def penalises(self: "SamplingValues") -> bool:
        """Whether any penalty for repeated tokens is on."""
        changed = self.repeat_penalty != 1.0 or self.presence_penalty or self.frequency_penalty
        return bool(changed and self.repeat_last_n)

    @property
    def uses_dry(self: "SamplingValues") -> bool:
        """Whether repeated sequences become less likely."""
        return bool(self.dry_multiplier and self.dry_penalty_last_n)

    @property
    def penalises_first(self: "SamplingValues") -> bool:
        """Whether penalties are applied before top-k, which may leave only penalised tokens of a long prompt."""
        return bool(self.repeat_scope == "all" or self.top_n_sigma or self.mirostat)

    def penalised(self: "SamplingValues", tokens: Sequence[int]) -> Sequence[int]:
        """The tokens of a prompt that the penalties and DRY consider."""
        lasts = [self.repeat_last_n] * self.penalises + [self.dry_penalty_last_n] * self.uses_dry
        if not lasts or self.repeat_scope == "answer":
            return ()
        return tokens if ALL_TOKENS in lasts else tokens[-max(lasts) :]


SamplingValues = Sampling[Never]  # no value is left open
SAMPLING_KEYS: dict[str, SamplingKey] = {
    each.name: replace(each.metadata["key"], name=each.name) for each in fields(Sampling)
}
# The values of Hermes 3's model card (top_k from its `generate` call), except for the scope of the penalty: over the
# prompt it damages copied names and numbers. Without a seed every answer is different.
MODEL_CARD = Sampling(**{name: key.usual for name, key in SAMPLING_KEYS.items()})  # type: ignore[arg-type]


_FREE_ONLY = ("dry_multiplier", "top_n_sigma", "xtc_probability", "mirostat")


def free_only(sampling: Sampling) -> list[str]:
    """The names of values in use that do not apply to constrained text, because they would damage its structure."""
    return [name for name in _FREE_ONLY if getattr(sampling, name)]


def bias_pairs(text: str | None) -> tuple[tuple[int, float], ...]:
    """The (token id, bias) pairs of a valid `logit_bias`; a bias of -100 is minus infinity."""
    pairs = (one.split("=") for one in text.split(",")) if text and text != _NO_BIAS else ()
    return tuple((int(token), float("-inf") if float(bias) == -100 else float(bias)) for token, bias in pairs)


def decide(sampling: Sampling) -> SamplingValues:
    """Fill in what is None from the model card; a missing seed is drawn at random. Raises UsageError."""
    given = {name: value for name, value in asdict(sampling).items() if value is not None}
    for name, value in given.items():
        if not SAMPLING_KEYS[name].accepts(value):
            raise UsageError(f"--{name.replace('_', '-')} cannot be {value}", f"use {SAMPLING_KEYS[name].allowed}")
    seed = int.from_bytes(os.urandom(4), "big")
    return Sampling(**{**asdict(MODEL_CARD), "seed": seed, **given})
