"""How the next token is chosen: the one table of its values.

Options, settings, presets, sessions, `/set`, the fields of the server and the help are made from the table: a new value
is one entry here, and a step of the chain in `engine/decoding/sampling.py`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields, replace
from typing import Any

from hermes_cli.chat.key import LARGEST, Key, Value
from hermes_cli.errors import UsageError
from hermes_cli.values import dataclass

ALL_TOKENS = -1
_ALL = {"all": ALL_TOKENS}
_NO_BIAS = "none"
_BIAS = r"\d{1,9}=[+-]?(100|\d{1,2}(\.\d+)?)"


PENALTIES, DRY = "Repetition penalties", "DRY, which penalises repeated sequences"
REMAINING, ADAPTIVE, TOKENS = "Which tokens remain", "Temperature that adapts", "Single tokens"


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
class Sampling:
    """How the next token is chosen; None leaves a value to the backend, which for Hermes takes that of `MODEL_CARD`.

    The fields, in this order, are the table. The penalties and DRY count the last tokens of the answer, or with the
    `repeat_scope` all of prompt and answer; `ALL_TOKENS` stands for every token. `logit_bias` is text such as
    `42=-100,7=2.5`.
    """

    temperature: float | None = _number("Randomness; 0: always the most likely token.", 0.8, 0, 100, "T")
    top_k: int | None = _number("Sample from the K most likely tokens; 0: all.", 50, 0, LARGEST, "K")
    top_p: float | None = _number("Sample from the most likely tokens up to this total probability.", 1.0, 0, 1, "P")
    min_p: float | None = _number("Drop tokens below this fraction of the best probability.", 0.0, 0, 1, "P")
    repeat_penalty: float | None = _number(
        "Above 1: make tokens that occurred before less likely.", 1.1, 0.01, 100, "R"
    )
    seed: int | None = _entry(
        SamplingKey(
            int, "Make the answer repeatable.", otherwise="random", low=0, high=2**32 - 1, example=42, metavar="N"
        )
    )
    repeat_last_n: int | None = _number(
        "Number of last tokens that the penalties count; 0: none.", 64, ALL_TOKENS, LARGEST, "N|all", PENALTIES, _ALL
    )
    repeat_scope: str | None = _entry(
        SamplingKey(
            str,
            "Count repeated tokens in the answer only, or in prompt and answer (all).",
            otherwise="answer",
            choices=("answer", "all"),
            example="answer",
            usual="answer",
            metavar="answer|all",
            group=PENALTIES,
        )
    )
    presence_penalty: float | None = _number(
        "Above 0: make tokens that occurred before less likely.", 0.0, -2, 2, "P", PENALTIES
    )
    frequency_penalty: float | None = _number(
        "Above 0: make a token less likely with each occurrence.", 0.0, -2, 2, "P", PENALTIES
    )
    dry_multiplier: float | None = _number(
        "DRY: above 0, penalise continuing a sequence that occurred before.", 0.0, 0, 100, "M", DRY
    )
    dry_base: float | None = _number("DRY: growth of the penalty with each further token.", 1.75, 1, 10, "B", DRY)
    dry_allowed_length: int | None = _number("DRY: longest sequence that may be repeated.", 2, 0, LARGEST, "N", DRY)
    dry_penalty_last_n: int | None = _number(
        "DRY: number of last tokens to search; 0: none.", ALL_TOKENS, ALL_TOKENS, LARGEST, "N|all", DRY, _ALL
    )
    top_n_sigma: float | None = _number(
        "Drop tokens more than N standard deviations below the best; 0: off.", 0.0, 0, 100, "N", REMAINING
    )
    typical_p: float | None = _number(
        "Sample from the most typical tokens up to this total probability; 1: off.", 1.0, 0, 1, "P", REMAINING
    )
    xtc_probability: float | None = _number(
        "XTC: chance of dropping all likely tokens but the least likely of them.", 0.0, 0, 1, "P", REMAINING
    )
    xtc_threshold: float | None = _number(
        "XTC: probability from which a token is likely; above 0.5: off.", 0.1, 0, 1, "P", REMAINING
    )
    dynatemp_range: float | None = _number(
        "Vary the temperature by up to T with the model's uncertainty; 0: off.", 0.0, 0, 100, "T", ADAPTIVE
    )
    dynatemp_exponent: float | None = _number(
        "Exponent of the variation by dynatemp_range.", 1.0, 0, 100, "E", ADAPTIVE
    )
    mirostat: int | None = _number(
        "Mirostat 1 or 2: hold the surprise of tokens constant; 0: off.", 0, 0, 2, "0|1|2", ADAPTIVE
    )
    mirostat_tau: float | None = _number("Mirostat: surprise to aim at.", 5.0, 0, 100, "T", ADAPTIVE)
    mirostat_eta: float | None = _number("Mirostat: learning rate.", 0.1, 0, 1, "E", ADAPTIVE)
    logit_bias: str | None = _entry(
        SamplingKey(
            str,
            "Add a bias to the logits of tokens, by their ids; -100: never.",
            otherwise=_NO_BIAS,
            example="42=-100",
            form="none or ID=BIAS, separated by commas, each bias from -100 to 100",
            pattern=rf"{_NO_BIAS}|{_BIAS}(,{_BIAS})*",
            metavar="ID=BIAS,...",
            group=TOKENS,
        )
    )


SAMPLING_KEYS: dict[str, SamplingKey] = {
    each.name: replace(each.metadata["key"], name=each.name) for each in fields(Sampling)
}
# What the card of Hermes 3 says (top_k is that of its `generate` call), but for what the penalty counts: over the
# prompt it damages copied names and numbers. Without a seed every answer is another.
MODEL_CARD = Sampling(**{name: key.usual for name, key in SAMPLING_KEYS.items()})  # type: ignore[arg-type]


def bias_pairs(text: str | None) -> tuple[tuple[int, float], ...]:
    """The (token id, bias) pairs of a valid `logit_bias`; a bias of -100 is minus infinity."""
    pairs = (one.split("=") for one in text.split(",")) if text and text != _NO_BIAS else ()
    return tuple((int(token), float("-inf") if float(bias) == -100 else float(bias)) for token, bias in pairs)


@dataclass(frozen=True, slots=True)
class SamplingValues:
    """Every value decided: the attributes are those of `Sampling`."""

    sampling: Sampling

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sampling, name)

    @property
    def penalises(self) -> bool:
        """Whether tokens that occurred before become less (or more) likely."""
        changed = self.repeat_penalty != 1.0 or self.presence_penalty or self.frequency_penalty
        return bool(changed and self.repeat_last_n)

    @property
    def uses_dry(self) -> bool:
        """Whether repeated sequences become less likely."""
        return bool(self.dry_multiplier and self.dry_penalty_last_n)

    @property
    def penalises_first(self) -> bool:
        """Whether penalties are applied before top-k, which may leave only penalised tokens of a long prompt."""
        return bool(self.repeat_scope == "all" or self.top_n_sigma or self.mirostat)

    @property
    def fits_device(self) -> bool:
        """Whether the device that computes the logits knows every step."""
        others = (self.typical_p < 1, self.xtc_probability, self.dynatemp_range, self.uses_dry)
        return not (any(others) or self.penalises_first)

    def penalised(self, tokens: Sequence[int]) -> Sequence[int]:
        """Those tokens of a prompt that the penalties and DRY count."""
        lasts = [self.repeat_last_n] * self.penalises + [self.dry_penalty_last_n] * self.uses_dry
        if not lasts or self.repeat_scope == "answer":
            return ()
        return tokens if ALL_TOKENS in lasts else tokens[-max(lasts) :]


def decide(sampling: Sampling) -> SamplingValues:
    """Fill in what is None from the model card; a missing seed is drawn at random. Raises UsageError."""
    given = {name: value for name, value in asdict(sampling).items() if value is not None}
    for name, value in given.items():
        if not SAMPLING_KEYS[name].accepts(value):
            raise UsageError(f"--{name.replace('_', '-')} cannot be {value}", f"use {SAMPLING_KEYS[name].allowed}")
    seed = int.from_bytes(os.urandom(4), "big")
    return SamplingValues(Sampling(**{**asdict(MODEL_CARD), "seed": seed, **given}))
