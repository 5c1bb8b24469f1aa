"""Constrained sampling: sample among all tokens first, and again with a mask if that token is not allowed.

The likeliest tokens are found once, by llama.cpp. Only where the mask allows none of them does the second choice look
at the others, so that it costs microseconds however large the vocabulary is.
"""

import ctypes
import re
import struct
from array import array
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import compress
from typing import Any

from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.sampler import Sampler

Steps = Sequence[tuple[str, tuple[float, ...]]]
_ENTRY_BYTES = 12  # llama_token_data: token, logit, probability
_NEUTRAL = (1.0, 0.0, 0.0)
_SET_BITS = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))
_NONZERO = re.compile(rb"[^\0]", re.DOTALL)


class MaskedSampler(Sampler):
    """A chain that begins with the likeliest `most` tokens and remembers them, in case another one must be chosen."""

    def __init__(self, context: Context, most: int, steps: Steps, steps_again: Steps) -> None:
        """The `most` likeliest tokens pass through `steps`; through `steps_again` in a second choice."""
        super().__init__([("top_k", (most,))])
        self._context, llama = context, library.bindings()
        self._likeliest = b""
        self.repeated: Mapping[int, int] = {}  # how often tokens occurred in what the penalties count
        self.penalties = _NEUTRAL  # repeat, frequency and presence penalty
        self._interface = llama.llama_sampler_i()
        self._interface.apply = llama.llama_sampler_i_apply(self._remember)
        llama.llama_sampler_chain_add(self.handle, llama.llama_sampler_init(ctypes.byref(self._interface), None))
        self.add(steps)
        self._again = Sampler([("top_k", (most,)), *steps_again])

    def close(self) -> None:
        """Free both chains."""
        super().close()
        self._again.close()

    def _remember(self, _: Any, data: Any) -> None:
        """Called by llama.cpp with the likeliest tokens, best first; nothing may be raised through it."""
        found = data.contents
        if self.repeated and self.penalties != _NEUTRAL:
            repeat, frequency, presence = self.penalties
            for index in range(found.size):
                entry = found.data[index]
                if count := self.repeated.get(entry.id):
                    logit = entry.logit * (repeat if entry.logit < 0 else 1 / repeat)
                    entry.logit = logit - count * frequency - presence
            found.sorted = False
        self._likeliest = ctypes.string_at(found.data, found.size * _ENTRY_BYTES)

    def choose_again(self, mask: bytes) -> int:
        """Another token in place of the one just sampled: one that `mask` allows, low bits first; it must allow one."""
        likeliest = self._allowed(mask)
        entries = likeliest or self._others(mask)
        count = len(entries) // _ENTRY_BYTES
        data = (self._llama.llama_token_data * count).from_buffer_copy(entries)
        found = self._llama.llama_token_data_array(data, count, -1, bool(likeliest and not self.repeated))
        self._llama.llama_sampler_apply(self._again.handle, ctypes.byref(found))
        return int(found.data[found.selected].id)

    def _allowed(self, mask: bytes) -> bytes:
        """Those of the likeliest tokens that are allowed."""
        tokens = memoryview(self._likeliest).cast("i")[:: _ENTRY_BYTES // 4].tolist()
        flags = [mask[token >> 3] >> (token & 7) & 1 for token in tokens]
        return b"".join(compress(_splitter(len(tokens)).unpack(self._likeliest), flags))

    def _others(self, mask: bytes) -> bytearray:
        """All allowed tokens of the vocabulary."""
        tokens = tokens_in(mask)
        entries = bytearray(len(tokens) * _ENTRY_BYTES)
        memoryview(entries).cast("i")[:: _ENTRY_BYTES // 4] = array("i", tokens)
        memoryview(entries).cast("f")[1 :: _ENTRY_BYTES // 4] = array("f", self._context.logits(tokens))
        return entries


@cache
def _splitter(count: int) -> struct.Struct:
    """Splits bytes into `count` entries."""
    return struct.Struct(f"{_ENTRY_BYTES}s" * count)


@lru_cache(maxsize=16)
def tokens_in(mask: bytes) -> list[int]:
    """The tokens whose bits are set; cached, because many masks of an answer are the same."""
    return [found.start() * 8 + bit for found in _NONZERO.finditer(mask) for bit in _SET_BITS[mask[found.start()]]]
