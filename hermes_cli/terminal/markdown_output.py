"""The answer as rendered Markdown on a terminal while it comes."""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from hermes_cli.errors import OutputError
from hermes_cli.terminal.answer_output import write_error
from hermes_cli.terminal.markdown_stream import MarkdownStream
from hermes_cli.terminal.markdown_writer import MarkdownWriter, Styling
from hermes_cli.terminal.painter import Painter
from hermes_cli.terminal.sanitize import for_terminal

_FRAME_S = 1 / 12
_SLOWEST_FRAME_S = 1.0
_MOST_TAIL_ROWS = 12
_COST_SHARE = 10  # a frame is followed by ten times its own duration without one
_USUAL_SIZE = (80, 24)


class MarkdownOutput:
    """An AnswerOutput on the terminal at stdout: finished blocks once, the unfinished one repainted below them.

    `live` off prints only what is final, without moving the cursor. `send`, `size` (columns, rows) and `clock` stand in
    for the terminal and the time. Errors are those of StandardOutput.
    """

    def __init__(
        self,
        styling: Styling = "colors",
        *,
        live: bool = True,
        send: Callable[[bytes], None] | None = None,
        size: Callable[[], tuple[int, int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        reflows: bool | None = None,
    ) -> None:
        self._send = send or send_to_stdout
        self._size = size or window_size
        self._clock = clock
        self._live = live
        self._stream = MarkdownStream()
        self._writer = MarkdownWriter(styling)
        self._painter = Painter(self._send, reflows=_reflows() if reflows is None else reflows)
        self._pending: list[str] = []
        self._next_frame = clock()
        self._said_something = False
        self._left = False
        self._handler_before: Any = None

    def write(self, text: str) -> None:
        """Take `text`; it shows with the next frame, at most twelve times a second."""
        self._pending.append(text)
        now = self._clock()
        if now >= self._next_frame:
            self._frame()
            cost = self._clock() - now
            self._next_frame = now + min(max(_FRAME_S, _COST_SHARE * cost), _SLOWEST_FRAME_S)

    def finish(self) -> None:
        """Print the rest; the last line ends and no blank one follows."""
        columns, _ = self._size()
        committed = self._taken(columns) + self._writer.lines(self._stream.finish(), columns)
        if not committed and not self._said_something:
            committed = "\n"
        try:
            if self._live:
                self._painter.finish(committed, columns)
            elif committed:
                self._send(committed.encode("utf-8", "replace"))
        finally:
            self._unwatch()

    def discard(self) -> None:
        """Erase what is not final. May be called from a signal handler; a terminal that takes nothing is left alone."""
        self._unwatch()
        if self._live and not self._painter.clean and _takes_text():
            with contextlib.suppress(OSError, OutputError):
                self._painter.finish("", self._size()[0])

    def _frame(self) -> None:
        columns, rows = self._size()
        committed = self._taken(columns)
        if not self._live:
            if committed:
                self._send(committed.encode("utf-8", "replace"))
            return
        self._watch()
        most_rows = max(min(_MOST_TAIL_ROWS, (rows - 2) // 2), 1)
        tail = self._writer.rows(self._stream.tail(), columns, most_rows)
        if self._left:
            self._left = False
            self._painter.forget()
        self._painter.paint(committed, tail, columns)

    def _taken(self, columns: int) -> str:
        """What became final with the pending text."""
        text, self._pending = "".join(self._pending), []
        committed = self._writer.lines(self._stream.feed(for_terminal(text)), columns)
        self._said_something = self._said_something or bool(committed)
        return committed

    def resumed(self) -> None:
        """Paint anew below: someone else had the terminal, as the shell has while the process is stopped."""
        self._left = True

    def _watch(self) -> None:
        """Notice from now on that the process was stopped and goes on."""
        if self._handler_before is None and threading.current_thread() is threading.main_thread():
            self._handler_before = signal.signal(signal.SIGCONT, self._went_on)

    def _unwatch(self) -> None:
        # Whoever took the signal after this object has put it back already.
        if signal.getsignal(signal.SIGCONT) == self._went_on and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCONT, self._handler_before)

    def _went_on(self, number: int, frame: FrameType | None) -> None:
        self.resumed()
        if callable(self._handler_before):
            self._handler_before(number, frame)


def send_to_stdout(data: bytes) -> None:
    """Write all of `data` to stdout, past Python's buffers: what a dead terminal refused is not tried again at exit."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(sys.stdout.fileno(), rest) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        raise write_error(error) from error


def window_size() -> tuple[int, int]:
    """Columns and rows of the terminal at stdout, as they are now."""
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return _USUAL_SIZE
    return columns or _USUAL_SIZE[0], rows or _USUAL_SIZE[1]


def _takes_text() -> bool:
    """Whether a write to stdout would not wait."""
    try:
        return bool(select.select([], [sys.stdout], [], 0)[1])
    except (OSError, ValueError):
        return False


def _reflows() -> bool:
    """All but xterm and GNU Screen wrap rows anew when the window gets narrower."""
    return "TMUX" in os.environ or not os.environ.keys() & {"XTERM_VERSION", "STY"}
