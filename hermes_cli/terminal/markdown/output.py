"""The answer as rendered Markdown on a terminal while it is generated."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from hermes_cli.errors import OutputError
from hermes_cli.terminal import console
from hermes_cli.terminal.markdown.painter import Painter
from hermes_cli.terminal.sanitize import for_terminal

if TYPE_CHECKING:
    from hermes_cli.terminal.markdown.stream import MarkdownStream
    from hermes_cli.terminal.markdown.writer import MarkdownWriter, Styling

_RENDERING = "hermes_cli.terminal.markdown.writer"
_FRAME_S = 1 / 12
_SLOWEST_FRAME_S = 2.0
_COST_SHARE = 10  # a frame is followed by ten times its own duration without one
_OVERDUE_S = 0.1
_MOST_TAIL_ROWS = 12


class MarkdownOutput:
    """An AnswerOutput on the terminal at stdout: finished blocks once, the unfinished one repainted below them.

    `live` off prints only what is final, without moving the cursor. `send`, `size` (columns, rows) and `clock` stand in
    for the terminal and the time. Errors are those of StandardOutput.
    """

    def __init__(
        self,
        styling: "Styling" = "colors",
        *,
        live: bool = True,
        send: Callable[[bytes], None] | None = None,
        size: Callable[[], tuple[int, int]] = console.terminal_size,
        clock: Callable[[], float] = time.monotonic,
        reflows: bool | None = None,
    ) -> None:
        self._styling = styling
        self._live = live
        self._send = send or console.send_bytes
        self._size = size
        self._clock = clock
        self._painter = Painter(self._send, reflows=console.reflows() if reflows is None else reflows)
        self._figures: Callable[[], str] = str
        self._pending: list[str] = []
        self._unsent = ""
        self._said_something = False
        self._next_frame = clock()
        self._lock = threading.RLock()
        self._caught_up = threading.Event()
        self._catches_up = send is None
        self._left = False
        if _RENDERING not in sys.modules:
            # A tenth of a second of imports, while the model is loaded or reads the prompt.
            threading.Thread(target=import_module, args=(_RENDERING,)).start()

    @cached_property
    def _stream(self) -> "MarkdownStream":
        from hermes_cli.terminal.markdown.stream import MarkdownStream

        return MarkdownStream()

    @cached_property
    def _writer(self) -> "MarkdownWriter":
        from hermes_cli.terminal.markdown.writer import MarkdownWriter

        return MarkdownWriter(self._styling)

    def watch(self, figures: Callable[[], str]) -> bool:
        """Show `figures` below the unfinished block."""
        self._figures = figures
        return False

    def follow(self, text: str) -> None:
        """Show the unfinished block of `text` again and continue it; code keeps its colours."""
        with self._lock:
            self._writer.lines(self._stream.feed(for_terminal(text)), self._size()[0])
            self._writer.begin()

    def write(self, text: str) -> None:
        """Take `text`; it shows with the next frame, at most twelve times a second."""
        with self._lock:
            self._pending.append(text)
            self._show_if_due()
            if self._pending and self._catches_up:
                self._catches_up = False
                threading.Thread(target=self._catch_up, daemon=True).start()

    def finish(self) -> None:
        """Print the rest; the last line ends and no blank one follows."""
        with self._lock:
            try:
                self._settle(otherwise="\n")
            finally:
                self._caught_up.set()

    def pause(self) -> None:
        """Print the rest as `finish` does, if there is anything; what is written later begins a new text."""
        with self._lock:
            if self._pending or self._said_something or not self._painter.clean:
                self._settle()
                self.__dict__.pop("_stream", None)
                self.__dict__.pop("_writer", None)

    def break_off(self) -> None:
        """Keep the part that arrived."""
        self.pause()

    def discard(self) -> None:
        """Erase the unfinished block, if the terminal takes output; may be called from a signal handler."""
        if not self._lock.acquire(timeout=_OVERDUE_S):
            return  # another thread waits for the terminal
        try:
            self._pending.clear()
            self._caught_up.set()
            if self._live and not self._painter.clean and console.takes_text():
                with contextlib.suppress(OSError, OutputError):
                    self._heed_stop()
                    self._painter.finish("", self._size()[0])
        finally:
            self._lock.release()

    def resumed(self) -> None:
        """Paint again below: another program used the terminal, as the shell does while the process is stopped."""
        self._left = True

    def _show_if_due(self) -> None:
        _ = self._writer  # its imports do not count as the cost of a frame
        now = self._clock()
        if self._pending and now >= self._next_frame:
            self._frame()
            cost = self._clock() - now
            self._next_frame = now + min(max(_FRAME_S, _COST_SHARE * cost), _SLOWEST_FRAME_S)

    def _frame(self) -> None:
        columns, rows = self._size()
        self._take(columns)
        if self._live:
            most_rows = max(min(_MOST_TAIL_ROWS, (rows - 2) // 2), 1)
            tail = self._writer.rows(self._stream.tail(), columns, most_rows)
            if figures := self._figures():
                tail.append(self._writer.dim_row(figures, columns))
            self._heed_stop()
            self._painter.paint(self._unsent, tail, columns)
        elif self._unsent:
            self._send(self._unsent.encode("utf-8", "replace"))
        self._unsent = ""

    def _settle(self, otherwise: str = "") -> None:
        """Print everything as final; `otherwise` if there was never anything."""
        columns, _ = self._size()
        self._take(columns)
        self._unsent += self._writer.lines(self._stream.finish(), columns)
        if not self._said_something:
            self._unsent = self._unsent or otherwise
        if self._live:
            self._heed_stop()
            self._painter.finish(self._unsent, columns)
        elif self._unsent:
            self._send(self._unsent.encode("utf-8", "replace"))
        self._said_something = self._said_something or bool(self._unsent)
        self._unsent = ""

    def _take(self, columns: int) -> None:
        """Draw what became final with the pending text."""
        text = "".join(self._pending)
        self._pending.clear()
        self._unsent += self._writer.lines(self._stream.feed(for_terminal(text)), columns)
        self._said_something = self._said_something or bool(self._unsent)

    def _catch_up(self) -> None:
        """In a thread: show what waits for its frame when the next piece of the answer is long in coming."""
        while not self._caught_up.wait(_OVERDUE_S):
            with self._lock:
                if not self._pending:
                    self._catches_up = True
                    return
                try:
                    self._show_if_due()
                except (OSError, OutputError):
                    return  # the next write fails as well, and may report it

    def _heed_stop(self) -> None:
        """After a stop of the process the rows are no longer where the cursor is."""
        if self._left:
            self._left = False
            self._painter.forget()
