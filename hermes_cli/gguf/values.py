"""The values in a GGUF header, read in order and within limits: the file may be cut short or hostile."""

import struct
from typing import Any, Protocol

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST_KEY_BYTES = 65_535
_LONGEST_TEXT_BYTES = 8 << 20
_LARGEST_HEADER_BYTES = 256 << 20
_KEPT_ELEMENTS = 512
_DEEPEST_ARRAY = 4
_BLOCK_BYTES = 1 << 20


class BadHeader(Exception):
    """What is wrong with a header, in words that follow the name of the file."""


class HeaderCut(BadHeader):
    """The file ends before its header does."""

    def __init__(self) -> None:
        super().__init__("is cut short: it ends in the middle of its header")


class Source(Protocol):
    """Random access to the bytes of a file. `size_bytes` is None if it is not known."""

    size_bytes: int | None

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on; fewer only at the end of the file."""


class Array:
    """An array in the header: the number of elements, and the values of a short array of numbers."""

    __slots__ = ("count", "values")

    def __init__(self, count: int, values: tuple[Any, ...] = ()) -> None:
        self.count, self.values = count, values


class HeaderReader:
    """A position in a source, read ahead in blocks."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._block, self._start = b"", 0
        self.position = 0
        self._little = "<"

    def use_big_endian(self) -> None:
        """Numbers from here on have their high byte first."""
        self._little = ">"

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        begin = self.position - self._start
        if not 0 <= begin <= begin + count <= len(self._block):
            self._refill(count)
            begin = self.position - self._start
        self.position += count
        return self._block[begin : begin + count]

    def skip(self, count: int) -> None:
        """Skip `count` bytes without reading them."""
        self._check(count)
        self.position += count

    def number(self, kind: str) -> Any:
        """One number, as `struct` names it."""
        return struct.unpack(self._little + kind, self.take(struct.calcsize("<" + kind)))[0]

    def text(self, longest: int = _LONGEST_TEXT_BYTES) -> str:
        """A text: its length, then that number of bytes of UTF-8."""
        length = self.number("Q")
        if length > longest:
            raise BadHeader(f"has a text of {length:,} bytes in its header")
        return self.take(length).decode("utf-8", "replace")

    def key(self) -> str:
        """The name of a value or a tensor."""
        return self.text(_LONGEST_KEY_BYTES)

    def value(self, kind: int) -> Any:
        """A value of that type: a number, a text, or an Array."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array(0)
        raise BadHeader(f"has a value of unknown type {kind} in its header")

    def _array(self, depth: int) -> Array:
        kind, count = self.number("I"), self.number("Q")
        if kind in _SCALARS:
            size = struct.calcsize("<" + _SCALARS[kind])
            if count <= _KEPT_ELEMENTS:
                return Array(count, struct.unpack(f"{self._little}{count}{_SCALARS[kind]}", self.take(count * size)))
            self.skip(count * size)
        elif kind == _STRING:
            self._check(count * 8)
            self._skip_texts(count)
        elif kind == _ARRAY and depth < _DEEPEST_ARRAY:
            self._check(count * 12)
            for _ in range(count):
                self._array(depth + 1)
        else:
            raise BadHeader(f"has an array of unknown type {kind} in its header")
        return Array(count)

    def _skip_texts(self, count: int) -> None:
        """A vocabulary has hundreds of thousands of them: they are skipped block by block."""
        unpack = struct.Struct(f"{self._little}Q").unpack_from
        while count:
            if len(self._block) - (self.position - self._start) < 8 or self.position < self._start:
                self._refill(8)
            block, offset, last = self._block, self.position - self._start, len(self._block) - 8
            while count and offset <= last:
                offset += 8 + unpack(block, offset)[0]
                count -= 1
            self.position = self._start + offset
            self._check(0)

    def _refill(self, count: int) -> None:
        self._check(count)
        self._start = self.position
        self._block = self._source.read(self.position, max(count, _BLOCK_BYTES))
        if len(self._block) < count:
            raise HeaderCut

    def _check(self, count: int) -> None:
        """The next `count` bytes must be in the file and in the bounds of a header."""
        end = self.position + count
        if self._source.size_bytes is not None and end > self._source.size_bytes:
            raise HeaderCut
        if end > _LARGEST_HEADER_BYTES:
            raise BadHeader(f"has a header of more than {_LARGEST_HEADER_BYTES >> 20} MiB")
