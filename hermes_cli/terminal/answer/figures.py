"""Live figures of an answer: tokens, speed and time."""

import time
from collections.abc import Callable

_SHOWN_AFTER_S = 1.0
_MOST_CHARACTERS_PER_TOKEN = 5  # of prose; a fast model delivers several tokens in one piece


class Figures:
    """Counts the pieces of an answer; exact for models below about 30 tokens per second, else an estimate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._pieces = self._characters = 0

    def add(self, piece: str) -> None:
        """Count a piece of the answer or of the thinking before it."""
        if self._began is None:
            self._began = self._clock()
        self._pieces += 1
        self._characters += len(piece)

    @property
    def tokens(self) -> int:
        """About how many tokens were generated."""
        return max(self._pieces, self._characters // _MOST_CHARACTERS_PER_TOKEN)

    def line(self) -> str:
        """`120 tok · 31.0 tok/s · 4 s`; empty in the first second."""
        elapsed = 0.0 if self._began is None else self._clock() - self._began
        if elapsed < _SHOWN_AFTER_S:
            return ""
        return f"{self.tokens:,} tok · {(self.tokens - 1) / elapsed:.1f} tok/s · {elapsed:.0f} s"
