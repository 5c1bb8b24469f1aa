"""The inputs of `hermes ask --map`: one on each line of stdin, read as they arrive."""

import os
import select
import stat
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import UsageError
from hermes_cli.formats.json.mode import parsed
from hermes_cli.terminal import console

LONGEST_LINE_BYTES = 8 << 20  # more than any context holds
_PIECE_BYTES = 1 << 16
_SHOWN_CHARACTERS = 1000
_WAKE_S = 0.1
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class MapInput:
    """The text of a line, its number from 1, and the other keys of its JSON object, which are copied to the record.

    `problem` says why it cannot be asked.
    """

    index: int
    text: str
    carried: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None


def map_inputs(cancel: CancelToken) -> Generator[MapInput]:
    """The inputs, as their lines arrive; blank lines are counted and skipped. A cancel ends them. Raises UsageError."""
    warned = False
    for index, line in _lines(0, cancel):
        if not line.strip():
            continue
        text = line.decode("utf-8", "replace")
        if not warned and text.encode() != line:
            warned = True
            console.notice(f"line {index} is not UTF-8; the bytes that cannot be read became U+FFFD")
        if len(line) > LONGEST_LINE_BYTES:
            problem = f"the line is longer than {LONGEST_LINE_BYTES >> 20} MiB"
            yield MapInput(index, text[:_SHOWN_CHARACTERS], problem=problem)
        else:
            yield _parsed(index, text.removesuffix("\r"))


def count_lines() -> int | None:
    """The number of lines on stdin; None if it is not a regular file."""
    try:
        if not stat.S_ISREG(os.fstat(0).st_mode):
            return None
        at, count, last = os.lseek(0, 0, os.SEEK_CUR), 0, b"\n"
        while piece := os.pread(0, 1 << 20, at):
            at, count, last = at + len(piece), count + piece.count(b"\n"), piece[-1:]
    except OSError:
        return None
    return count + (last != b"\n")


def _lines(descriptor: int, cancel: CancelToken) -> Iterator[tuple[int, bytes]]:
    """Each line and its number as soon as it is complete; a line that is too long is cut one byte above the limit."""
    index, line = 0, bytearray()
    while piece := _next_piece(descriptor, cancel):
        *ends, rest = piece.split(b"\n")
        for end in ends:
            line += end[: LONGEST_LINE_BYTES + 1 - len(line)]
            index += 1
            yield index, bytes(line).removeprefix(_BYTE_ORDER_MARK if index == 1 else b"")
            line.clear()
        line += rest[: LONGEST_LINE_BYTES + 1 - len(line)]
    if line and not cancel.cancelled:
        yield index + 1, bytes(line).removeprefix(_BYTE_ORDER_MARK if index == 0 else b"")


def _next_piece(descriptor: int, cancel: CancelToken) -> bytes:
    """The next bytes; empty at the end and after a cancel, which does not interrupt a read."""
    try:
        while not cancel.cancelled:
            if select.select([descriptor], [], [], _WAKE_S)[0]:
                return os.read(descriptor, _PIECE_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read stdin: {error.strerror}", "pipe lines into the command") from error
    return b""


def _parsed(index: int, line: str) -> MapInput:
    """A JSON string, the `prompt` of a JSON object with its other keys, else the line as it is."""
    text, carried = line, dict[str, Any]()
    match _json(line):
        case str(value):
            text = value
        case {"prompt": str(value), **others}:
            text, carried = value, {str(key): part for key, part in others.items()}
    text = text.encode("utf-8", "replace").decode()  # JSON may contain a lone surrogate
    return MapInput(index, text, carried, None if text.strip() else "there is no text")


def _json(line: str) -> Any:
    """The JSON string or object in the line, if it is one."""
    if not line.lstrip().startswith(('"', "{")):
        return None
    try:
        return parsed(line)
    except (ValueError, RecursionError):
        return None
