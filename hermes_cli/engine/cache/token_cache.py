"""Cached tokens of texts, so that each message of a conversation is tokenised only once."""

import threading
from array import array
from collections.abc import Callable, Sequence

_LIMIT_TOKENS = 1 << 20  # 4 MB; more than any conversation, the least recently used texts are dropped


class TokenCache:
    """Calls `tokenize` once per text; safe to use from several threads."""

    def __init__(self, tokenize: Callable[[str], list[int]], limit_tokens: int = _LIMIT_TOKENS) -> None:
        self._tokenize, self._limit = tokenize, limit_tokens
        self._known: dict[str, array[int]] = {}  # the least recently used first
        self._size = 0
        self._lock = threading.Lock()

    def tokens(self, text: str) -> Sequence[int]:
        """The tokens of `text`, from the cache if they are in it."""
        with self._lock:
            found = self._known.pop(text, None)
            if found is not None:
                self._known[text] = found
                return found
        tokens = array("i", self._tokenize(text))
        with self._lock:
            self._size += len(tokens) - len(self._known.pop(text, ()))
            self._known[text] = tokens
            while self._size > self._limit:
                self._size -= len(self._known.pop(next(iter(self._known))))
        return tokens
