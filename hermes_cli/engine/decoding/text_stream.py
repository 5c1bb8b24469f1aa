"""Turns token bytes into text: whole characters only, up to a stop string."""

import codecs
from collections.abc import Sequence


class TextStream:
    """Decodes UTF-8 across tokens and looks for stop strings; text that may begin one is held back."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self.stopped = False

    def feed(self, data: bytes) -> str:
        """The text that can no longer change; empty after a stop string."""
        text = self._decode(data)
        return self._release(text) if self._stop else text

    def finish(self) -> str:
        """The text still held back; an incomplete character becomes U+FFFD."""
        text = self._release(self._decode(b"", True)) if self._stop else self._decode(b"", True)
        held, self._held = self._held, ""
        return text if self.stopped else text + held

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        # The match that ends first wins, so that the result does not depend on how the text was cut.
        starts = [(self._held.find(stop), stop) for stop in self._stop]
        found = [(start + len(stop), start) for start, stop in starts if start >= 0]
        if found:
            text, self._held, self.stopped = self._held[: min(found)[1]], "", True
            return text
        keep = max(_overlap(self._held, stop) for stop in self._stop)
        cut = len(self._held) - keep
        text, self._held = self._held[:cut], self._held[cut:]
        return text


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that begins `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
