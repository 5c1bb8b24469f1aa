"""Sampling among allowed tokens only: a step of our own in llama.cpp's sampler chain.

The C part picks the likeliest tokens of the whole vocabulary, this step drops those that are not allowed. Only where
none of them is does it look at the others, so that a token costs microseconds however large the vocabulary is.
"""

import ctypes
import heapq
import re
import struct
from collections.abc import Sequence
from functools import cache
from itertools import compress
from typing import Any

from hermes_cli.engine.native_context import Context, Sampler

_ENTRY = struct.Struct("iff")  # llama_token_data: token, logit, probability
_SET_BITS = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))
_NONZERO = re.compile(rb"[^\0]", re.DOTALL)


class MaskedSampler(Sampler):
    """A chain that begins with the likeliest `candidates` and keeps those that a mask allows, low bits first."""

    def __init__(self, context: Context, candidates: int, steps: Sequence[tuple[str, tuple[float, ...]]]) -> None:
        super().__init__([("top_k", (candidates,))])
        library = self._c
        self._context = context
        self._mask = b""
        self._problem: BaseException | None = None
        self._interface = library.llama_sampler_i()
        self._interface.apply = library.llama_sampler_i_apply(self._apply)
        library.llama_sampler_chain_add(self.handle, library.llama_sampler_init(ctypes.byref(self._interface), None))
        self.add(steps)

    def choose(self, mask: bytes) -> int:
        """Sample a token that `mask` allows; it must allow one."""
        self._mask = mask
        token = self._context.sample(self)
        if self._problem:
            problem, self._problem = self._problem, None
            raise problem
        return token

    def _apply(self, _: Any, array: Any) -> None:
        """Called by llama.cpp with the candidates; nothing may be raised through it."""
        try:
            candidates = array.contents
            address, size = ctypes.c_size_t.from_buffer(candidates.data).value, candidates.size
            allowed = self._allowed(ctypes.string_at(address, size * _ENTRY.size))
            ctypes.memmove(address, allowed, len(allowed))
            candidates.size = len(allowed) // _ENTRY.size
        except BaseException as error:
            self._problem = error

    def _allowed(self, entries: bytes) -> bytes:
        """Those of the entries that are allowed; if none is, the likeliest allowed ones of the whole vocabulary."""
        mask, size = self._mask, _ENTRY.size
        tokens = memoryview(entries).cast("i")[:: size // 4].tolist()
        flags = [mask[token >> 3] >> (token & 7) & 1 for token in tokens]
        if all(flags):
            return entries
        if any(flags):
            whole = _splitter(len(tokens)).unpack(entries)
            return b"".join(compress(whole, flags))
        others = tokens_in(mask)
        likeliest = heapq.nlargest(len(tokens), zip(self._context.logits(others), others, strict=True))
        return b"".join([_ENTRY.pack(token, logit, 0.0) for logit, token in likeliest])


@cache
def _splitter(count: int) -> struct.Struct:
    """Cuts so many entries apart."""
    return struct.Struct(f"{_ENTRY.size}s" * count)


def tokens_in(mask: bytes) -> list[int]:
    """The tokens whose bits are set."""
    return [found.start() * 8 + bit for found in _NONZERO.finditer(mask) for bit in _SET_BITS[mask[found.start()]]]
