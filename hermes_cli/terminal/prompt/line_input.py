"""The prompt without control of the terminal: plain lines, from a pipe, a file, or a terminal that can do no more."""

import codecs
import contextlib
import os
import re
import select
import sys
from collections import deque
from collections.abc import Callable

from hermes_cli.terminal import console
from hermes_cli.terminal.interrupts import ended_by_signals
from hermes_cli.terminal.prompt.folded_text import harmless
from hermes_cli.terminal.prompt.keyboard import typed_ahead
from hermes_cli.terminal.prompt.multi_line import goes_on, in_block, unquoted, with_line_break
from hermes_cli.terminal.prompt.prompt_input import PROMPT

_GOES_ON = "... "
_READ_BYTES = 1 << 16
_END, _ERASE, _KILL = "\x04", ("\x7f", "\b"), "\x15"
_PASTE_MARK = re.compile("\x1b\\[20[01]~")


class LineInput:
    """Lines from stdin, and blocks of lines between three double quotes; bytes that cannot be read are replaced.

    Only a terminal sees a prompt, and continues a line that ends in a backslash. From a terminal control characters
    come as visible marks; a pipe is taken as it is. Ctrl-C on a terminal forgets the message; otherwise
    KeyboardInterrupt reaches the caller.
    """

    def __init__(self, shown: Callable[[], None] = lambda: None) -> None:
        self._shown = shown
        self._terminal = console.is_terminal(sys.stdin)
        self._encoding = (sys.stdin.encoding or "utf-8") if self._terminal else "utf-8"
        self._lines: deque[bytes] = deque()
        self._unfinished: list[bytes] = []
        self._begins = not self._terminal  # a byte order mark may be at the start of a file
        self._ended = sys.stdin is None
        self._failure: BaseException | None = None
        self._woken, self._wake = os.pipe()

    def read(self, draft: str = "") -> str | None:
        """The next message without its line end; None when there is no more. An empty line sends a draft."""
        with ended_by_signals(lambda code: self.fail(SystemExit(code))):
            while self._terminal:
                try:
                    return self._typed(draft)
                except KeyboardInterrupt:
                    console.put("\n")
                    console.notice("Ctrl-D exits")
            return self._block()

    def ask(self, label: str, draft: str = "") -> str | None:
        """A line from the same input; on a terminal, Enter alone keeps the draft and Ctrl-C gives None."""
        with ended_by_signals(lambda code: self.fail(SystemExit(code))):
            if not self._terminal:
                return self._line()
            try:
                return self._typed(draft, f"{label}: ", keys="Enter keeps")
            except KeyboardInterrupt:
                console.put("\n")
                return None

    def fail(self, error: BaseException) -> None:
        """End a read in progress, or the next one, with `error`; from any thread."""
        self._failure = error
        os.write(self._wake, b"!")

    def refresh(self) -> None:
        """There is no status line."""

    def print_above(self, act: Callable[[], None]) -> None:
        """Print nothing: it would appear inside the line being typed."""

    def _typed(self, draft: str, prompt: str = PROMPT, keys: str = "Enter sends") -> str | None:
        if draft:
            console.notice(f"{keys}: {draft}")
        text = ""
        while True:
            console.put(prompt)
            self._shown()
            line = self._line()
            if line is None:
                console.put("\n")
                return unquoted(text) if text else None
            text += harmless(line)
            if not goes_on(text):
                return unquoted(text) or draft
            text, prompt = with_line_break(text), _GOES_ON

    def _block(self) -> str | None:
        """A line, or the lines of a block that begins there."""
        text = self._line()
        while text is not None and in_block(text) and (line := self._line()) is not None:
            text += f"\n{line}"
        return text if text is None else unquoted(text)

    def _line(self) -> str | None:
        """A line without its end."""
        self._raise_failure()
        while not self._lines and not self._ended:
            self._receive()
        if not self._lines:
            return None
        line, begins = self._lines.popleft(), self._begins
        self._begins = False
        return line.removeprefix(codecs.BOM_UTF8 if begins else b"").decode(self._encoding, "replace").rstrip("\r")

    def _receive(self) -> None:
        """Wait for more bytes, for the end, or for a failure."""
        if typed := typed_ahead():
            self._take_typed(typed)
            return
        descriptor = sys.stdin.fileno()
        ready, _, _ = select.select([descriptor, self._woken], [], [])
        if self._woken in ready:
            os.read(self._woken, _READ_BYTES)
            self._raise_failure()
        if descriptor not in ready:
            return
        data = b""
        with contextlib.suppress(OSError):
            data = os.read(descriptor, _READ_BYTES)
        if not data:
            self._end()
        elif self._terminal:
            self._take_typed(data)
        else:
            self._take(data)

    def _take_typed(self, typed: bytes) -> None:
        """Take keys, also such as were pressed while the terminal made no lines of them, as it would have done."""
        *ended, rest = _edited(typed.decode(self._encoding, "surrogateescape")).split(_END)
        for part in ended:
            self._take(part.encode(self._encoding, "surrogateescape"))
            if not part or part.endswith("\n"):
                self._end()
                return
        self._take(rest.encode(self._encoding, "surrogateescape"))

    def _take(self, data: bytes) -> None:
        first, *others = data.split(b"\n")
        self._unfinished.append(first)
        if others:
            self._lines += [b"".join(self._unfinished), *others[:-1]]
            self._unfinished = [others[-1]]

    def _end(self) -> None:
        self._ended = True
        self._lines += filter(None, [b"".join(self._unfinished)])

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


def _edited(typed: str) -> str:
    """The lines that a terminal in its usual mode makes of these keys, without erased text."""
    kept: list[str] = []
    for key in _PASTE_MARK.sub("", typed):
        if key in _ERASE and kept and kept[-1] not in ("\n", _END):
            kept.pop()
        elif key == _KILL:
            while kept and kept[-1] not in ("\n", _END):
                kept.pop()
        elif key not in _ERASE:
            kept.append("\n" if key == "\r" else key)
    return "".join(kept)
