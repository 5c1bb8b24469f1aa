"""How the next token is chosen, with every value decided."""

import os
from dataclasses import asdict

from hermes_cli.chat.request import MODEL_CARD, SAMPLING_RANGES, Sampling
from hermes_cli.errors import UsageError
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class SamplingValues:
    """Every value decided."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    seed: int


def decide(sampling: Sampling) -> SamplingValues:
    """Fill in what is None from the model card; a missing seed is drawn at random. Raises UsageError."""
    given = {name: value for name, value in asdict(sampling).items() if value is not None}
    seed = {"seed": int.from_bytes(os.urandom(4), "big")}
    values = SamplingValues(**{**asdict(MODEL_CARD), **seed, **given})
    for name, (low, high) in SAMPLING_RANGES.items():
        value = getattr(values, name)
        if not low <= value <= high:
            raise UsageError(
                f"--{name.replace('_', '-')} {value} is out of range", f"give a number from {low} to {high}"
            )
    return values
