"""Read keys from the terminal: a paste is one piece, and no control character in it acts as a key."""

import array
import asyncio
import contextlib
import fcntl
import os
import re
import select
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TextIO

from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from hermes_cli.terminal.prompt import keyboard
from hermes_cli.terminal.prompt.folded_text import has_fold
from hermes_cli.terminal.sanitize import for_terminal

# Shift-Enter in the two encodings of terminals that distinguish it from Enter.
ANSI_SEQUENCES["\x1b[13;2u"] = ANSI_SEQUENCES["\x1b[27;2;13~"] = Keys.ControlJ

_RUN_CHARACTERS = 64
_PASTE_END = "\x1b[201~"
_CTRL_C = "\x03"
_PIECE = re.compile(
    r"(?P<paste>\x1b\[200~)"
    r"|(?P<csi>\x1b\[[0-?]*[ -/]*[@-~])"
    r"|(?P<string>\x1b[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\))"
    rf"|(?P<run>[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]{{{_RUN_CHARACTERS},}})"
)
_CURSOR_REPORT = re.compile(r"\x1b\[\d+;\d+R")
_UNFINISHED = re.compile(r"\x1b(?:O|\[[0-?]*[ -/]*)?\Z")
_READ_BYTES = 1 << 16
_MOST_BYTES = 1 << 22
_BURST_GAP_S = 0.015


class _Bytes(PosixStdinReader):
    """Reads all available bytes as text. A closed terminal is the end; bytes that are not text are replaced."""

    def __init__(self, descriptor: int, encoding: str) -> None:
        super().__init__(descriptor, errors="replace", encoding=encoding)
        self._descriptor = descriptor
        self.cooked_bytes = 0
        self.ahead = b""  # read by somebody else before

    def read(self, count: int = _READ_BYTES) -> str:
        """The waiting text, and in a burst (a paste, keys typed ahead) the text that follows at once."""
        data, self.ahead = bytearray(self.ahead), b""
        while not self.closed and len(data) < _MOST_BYTES and _waits(self._descriptor, self._gap_s(data)):
            try:
                piece = os.read(self._descriptor, count)
            except OSError:
                piece = b""
            self.closed = not piece
            data += self._as_typed(piece)
        return self._stdin_decoder.decode(bytes(data))

    @staticmethod
    def _gap_s(data: bytearray) -> float:
        return _BURST_GAP_S if len(data) >= _RUN_CHARACTERS or (len(data) > 1 and data.endswith(b"\r")) else 0.0

    def _as_typed(self, piece: bytes) -> bytes:
        """Enter as the key it was, also if it was pressed before the terminal's mode was set."""
        cooked, self.cooked_bytes = piece[: self.cooked_bytes], max(0, self.cooked_bytes - len(piece))
        return cooked.replace(b"\n", b"\r") + piece[len(cooked) :]


class KeyReader(Vt100Input):
    """The keyboard of the terminal `stdin`.

    A long run of plain characters in one read is a paste, whether the terminal says so or not. Escape sequences that
    mean nothing here are dropped. Other control characters are keys; those that are not bound do nothing.
    """

    def __init__(self, stdin: TextIO) -> None:
        super().__init__(stdin)
        self._bytes = self.stdin_reader = _Bytes(stdin.fileno(), stdin.encoding or "utf-8")
        self._mode: AbstractContextManager[None] | None = None
        self._held = ""
        self._paste: list[str] | None = None

    def attach(self, input_ready_callback: Callable[[], None]) -> AbstractContextManager[None]:
        """Have the callback called when there are keys; at once for those typed before the prompt."""
        self._bytes.ahead += keyboard.typed_ahead()
        if self._bytes.ahead:
            asyncio.get_running_loop().call_soon(input_ready_callback)
        return super().attach(input_ready_callback)

    def raw_mode(self) -> AbstractContextManager[None]:
        """The mode of the prompt."""
        self._count_cooked()
        self._mode = super().raw_mode()
        return self._mode

    @contextlib.contextmanager
    def cooked_mode(self) -> Iterator[None]:
        """Restore the usual mode within the block, for another program."""
        with super().cooked_mode():
            yield
            self._count_cooked()

    def raw_again(self) -> None:
        """Back to the mode of the prompt, after a shell had the terminal unforeseen."""
        if self._mode is not None:
            with contextlib.suppress(termios.error, OSError):
                self._mode.__enter__()

    def _count_cooked(self) -> None:
        """Note how much was typed while the terminal still made lines of it."""
        with contextlib.suppress(termios.error, OSError):
            attributes = termios.tcgetattr(self.fileno())
            if attributes[0] & termios.ICRNL and attributes[3] & termios.ICANON:
                self._bytes.cooked_bytes = _waiting_bytes(self.fileno())

    def read_keys(self) -> list[KeyPress]:
        """The keys that wait."""
        self._feed(self._held + self._bytes.read())
        return self._taken()

    def flush_keys(self) -> list[KeyPress]:
        """The keys that wait, with an Escape that nothing followed."""
        held, self._held = self._held, ""
        self.vt100_parser.feed_and_flush(held)
        return self._taken()

    def _feed(self, data: str) -> None:
        self._held = ""
        while data:
            data = self._feed_keys(data) if self._paste is None else self._feed_paste(data)

    def _feed_keys(self, data: str) -> str:
        """Feed up to the start of a paste, and return what is after it."""
        at = 0
        for piece in _PIECE.finditer(data):
            self.vt100_parser.feed(data[at : piece.start()])
            at = piece.end()
            text = piece[0]
            if piece["paste"]:
                self._paste = []
                return data[at:]
            if piece["run"]:
                enter = "\r" if at == len(data) and text.endswith("\r") else ""
                self._put(KeyPress(Keys.BracketedPaste, text.removesuffix(enter)))
                self.vt100_parser.feed(enter)
            elif text in ANSI_SEQUENCES and not _CURSOR_REPORT.fullmatch(text):
                self.vt100_parser.feed(text)
        rest = data[at:]
        if unfinished := _UNFINISHED.search(rest):
            self._held, rest = unfinished[0], rest[: unfinished.start()]
        self.vt100_parser.feed(rest)
        return ""

    def _feed_paste(self, data: str) -> str:
        """Take up to the end of the paste, and return what is after it. Of the earlier text only the seam is read."""
        assert self._paste is not None
        if data == _CTRL_C:
            # A paste without an end mark must not block the keyboard.
            data = _PASTE_END + data
        before = self._paste.pop() if self._paste else ""
        joined = before + data
        end = joined.find(_PASTE_END)
        if end < 0:
            keep = len(_PASTE_END) - 1
            self._paste += [joined[:-keep], joined[-keep:]]
            return ""
        self._put(KeyPress(Keys.BracketedPaste, "".join((*self._paste, joined[:end]))))
        self._paste = None
        return joined[end + len(_PASTE_END) :]

    def _put(self, key: KeyPress) -> None:
        self._buffer.append(key)

    def _taken(self) -> list[KeyPress]:
        keys, self._buffer = self._buffer, []
        return [clean for key in keys if (clean := _clean(key))]


def _clean(key: KeyPress) -> KeyPress | None:
    """The key with a text that is harmless to show; a character that stands for folded text comes as a paste."""
    if isinstance(key.key, Keys):
        return key
    if has_fold(key.key):
        return KeyPress(Keys.BracketedPaste, key.key)
    shown = for_terminal(key.key)
    return KeyPress(shown, shown) if len(shown) == 1 else None


def _waits(descriptor: int, timeout_s: float) -> bool:
    try:
        return bool(select.select([descriptor], [], [], timeout_s)[0])
    except (OSError, ValueError):
        return False


def _waiting_bytes(descriptor: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
