"""Texts of the user as the chat shows and takes them."""

from collections.abc import Sequence

_EXCERPT_CHARACTERS = 40


def as_typed(text: str) -> str:
    """`text` as it must be typed to be sent: a slash at its start is doubled, or it would be a command."""
    return f"/{text}" if text.startswith("/") else text


def excerpt(text: str) -> str:
    """The beginning of `text` on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT_CHARACTERS else f"{line[: _EXCERPT_CHARACTERS - 1]}…"


def runs(numbers: Sequence[int]) -> str:
    """1, 2, 3, 5 as `1-3, 5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
