"""Sampling among allowed tokens only: freely at first, and once more with a mask where that token is not allowed.

The likeliest tokens are found once, by llama.cpp. Only where the mask allows none of them does the second choice look
at the others, so that it costs microseconds however large the vocabulary is.
"""

import ctypes
import heapq
import re
import struct
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import compress
from typing import Any

from hermes_cli.engine import native
from hermes_cli.engine.native_context import Context, Sampler

Steps = Sequence[tuple[str, tuple[float, ...]]]
_ENTRY = struct.Struct("iff")  # llama_token_data: token, logit, probability
_SET_BITS = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))
_NONZERO = re.compile(rb"[^\0]", re.DOTALL)


class MaskedSampler(Sampler):
    """A chain that begins with the likeliest `most` tokens and remembers them, in case another one must be chosen."""

    def __init__(self, context: Context, most: int, steps: Steps, steps_again: Steps) -> None:
        """After the likeliest come `steps`, or `steps_again` where the choice is made anew."""
        super().__init__([("top_k", (most,))])
        self._context, library = context, native.library()
        self._likeliest = b""
        self._interface = library.llama_sampler_i()
        self._interface.apply = library.llama_sampler_i_apply(self._remember)
        library.llama_sampler_chain_add(self.handle, library.llama_sampler_init(ctypes.byref(self._interface), None))
        self.add(steps)
        self._again = Sampler(steps_again)

    def close(self) -> None:
        """Free both chains."""
        super().close()
        self._again.close()

    def _remember(self, _: Any, array: Any) -> None:
        """Called by llama.cpp with the likeliest tokens, best first; nothing may be raised through it."""
        found = array.contents
        self._likeliest = ctypes.string_at(found.data, found.size * _ENTRY.size)

    def choose_again(self, mask: bytes) -> int:
        """Another token in place of the one just sampled: one that `mask` allows, low bits first; it must allow one."""
        entries = self._allowed(self._likeliest, mask)
        count = len(entries) // _ENTRY.size
        data = (self._c.llama_token_data * count).from_buffer_copy(entries)
        array = self._c.llama_token_data_array(data, count, -1, True)
        self._c.llama_sampler_apply(self._again.handle, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def _allowed(self, entries: bytes, mask: bytes) -> bytes:
        """Those of the entries that are allowed; if none is, the likeliest allowed ones of the whole vocabulary."""
        size = _ENTRY.size
        tokens = memoryview(entries).cast("i")[:: size // 4].tolist()
        flags = [mask[token >> 3] >> (token & 7) & 1 for token in tokens]
        if any(flags):
            return b"".join(compress(_splitter(len(tokens)).unpack(entries), flags))
        others = tokens_in(mask)
        likeliest = heapq.nlargest(len(tokens), zip(self._context.logits(others), others, strict=True))
        return b"".join([_ENTRY.pack(token, logit, 0.0) for logit, token in likeliest])


@cache
def _splitter(count: int) -> struct.Struct:
    """Cuts so many entries apart."""
    return struct.Struct(f"{_ENTRY.size}s" * count)


@lru_cache(maxsize=16)
def tokens_in(mask: bytes) -> list[int]:
    """The tokens whose bits are set. The masks of an answer come again and again, as those inside of numbers do."""
    return [found.start() * 8 + bit for found in _NONZERO.finditer(mask) for bit in _SET_BITS[mask[found.start()]]]
