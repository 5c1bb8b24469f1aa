"""Output on stderr: errors, notices and the temporary status line."""

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TextIO

from hermes_cli.errors import HermesError, OutputError
from hermes_cli.terminal import columns
from hermes_cli.terminal.sanitize import for_terminal, one_line

Color = Literal["auto", "always", "never"]
_STATUS_DELAY_S = 0.3
_STATUS_EVERY_S = 0.1
_TICK_S = 1.0
_color: Color = "auto"


def use_color(color: Color) -> None:
    """The user's choice for the rest of the run."""
    global _color
    _color = color


def is_terminal(stream: object) -> bool:
    """Whether `stream` is an open terminal."""
    try:
        return bool(stream is not None and stream.isatty())  # type: ignore[attr-defined]
    except ValueError:
        return False


def colored(stream: TextIO | None = None) -> bool:
    """Whether `stream`, by default stderr, may have colours."""
    if _color != "auto":
        return _color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    return bool(forced and forced != "0") or (is_terminal(stream or sys.stderr) and os.environ.get("TERM") != "dumb")


def _say(text: str, style: str = "", label: str = "") -> None:
    """One line to stderr; words that do not fit the terminal width are moved to the next row with spaces.

    A newline would do the same, but break a command that someone copies.
    """
    width = columns.terminal_columns(sys.stderr)
    *rows, last = columns.wrapped(text, width - 1, len(label))
    for place, row in enumerate(rows):
        rows[place] = row + " " * (-(columns.cells(row) + (0 if place else len(label))) % width or 1)
    text = "".join((*rows, last))
    painted = f"\x1b[{style}m" if style and colored() else ""
    reset = "\x1b[0m" if painted else ""
    line = f"{painted}{label}{reset}{text}" if label else f"{painted}{text}{reset}"
    put(line + "\n")


def put(text: str) -> None:
    """Write `text` to stderr unchanged; errors of a closed, full or disconnected stderr are ignored."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        return


def error(problem: HermesError) -> None:
    """The error line and the hint line."""
    _say(one_line(problem.message), "1;31", "error: ")
    _say(one_line(problem.hint), "36", "hint: ")


def notice(*texts: str) -> None:
    """Dim lines the user should know about."""
    for text in texts:
        _say(one_line(text), "2")


def lines(text: str) -> None:
    """A text of several lines as it is, made harmless."""
    put(for_terminal(text) + "\n")


def table(
    rows: Sequence[Sequence[str]], *, order: Sequence[int], elastic: int, wrap: bool = True, always: int = 1
) -> None:
    """Rows in columns that fit the terminal width, made harmless; see `columns.table`."""
    clean = [[for_terminal(cell) for cell in row] for row in rows]
    width = columns.terminal_columns(sys.stderr)
    put(columns.table(clean, width, order=order, elastic=elastic, wrap=wrap, always=always))


class StatusLine:
    """One line that is overwritten while the user waits and erased after; only on a terminal, and not at once."""

    def __init__(self) -> None:
        self._active = is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb" and "CI" not in os.environ
        self._lock = threading.Lock()
        self._next = time.monotonic() + _STATUS_DELAY_S
        self.text: str | Callable[[], str] = ""
        self._timer: threading.Timer | None = None
        self._shown = False

    def show(self, text: str | Callable[[], str]) -> None:
        """Replace the line by `text`, at most ten times a second; it comes in its time also if nothing follows.

        A function is asked again every second.
        """
        global _waiting
        if not self._active:
            return
        _waiting = self
        with self._lock:
            self.text = text
            wait_s = self._next - time.monotonic()
            if wait_s <= 0:
                self._paint()
            elif self._timer is None:
                self._paint_in(wait_s)

    def erase(self) -> None:
        """Take the line away; the next `show` waits again."""
        global _waiting
        if not self._active:
            return
        _waiting = None
        with self._lock:
            if self._timer:
                self._timer.cancel()
                self._timer = None
            if self._shown:
                put("\r\x1b[2K")
            self._shown = False
            self._next = time.monotonic() + _STATUS_DELAY_S

    def _paint(self) -> None:
        """Without wrapping, so that it stays one line at any terminal width."""
        self._next, self._shown = time.monotonic() + _STATUS_EVERY_S, True
        text = self.text if isinstance(self.text, str) else self.text()
        put(f"\r\x1b[2K\x1b[?7l\x1b[2m{one_line(text)}\x1b[0m\x1b[?7h")
        if self._timer is None and not isinstance(self.text, str):
            self._paint_in(_TICK_S)

    def _paint_in(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._paint_late)
        self._timer.daemon = True
        self._timer.start()

    def _paint_late(self) -> None:
        with self._lock:
            if self._timer is threading.current_thread():  # else it was erased meanwhile
                self._timer = None
                self._paint()


_waiting: StatusLine | None = None


@contextlib.contextmanager
def without_status() -> Iterator[None]:
    """Hide the status line within the block, for a question to the user; show it again afterwards."""
    status = _waiting
    if status:
        status.erase()
    yield
    if status:
        status.show(status.text)


def write_error(error: OSError) -> OutputError:
    """The error of a stdout that cannot be written to."""
    return OutputError(f"cannot write to stdout: {error.strerror}", "free some space, or write elsewhere: df -h")


_USUAL_SIZE = (80, 24)


def send_bytes(data: bytes) -> None:
    """Write all of `data`, past Python's buffers: what a dead terminal refused is not tried again at exit.

    Raises BrokenPipeError or OutputError.
    """
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(sys.stdout.fileno(), rest) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        raise write_error(error) from error


def terminal_size() -> tuple[int, int]:
    """Columns and rows."""
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return _USUAL_SIZE
    return columns or _USUAL_SIZE[0], rows or _USUAL_SIZE[1]


def items_that_fit(beside: int, rows_each: int = 1) -> int:
    """How many items of a list fit on the screen with `beside` other rows; at least 5, at most 30."""
    return min(max((terminal_size()[1] - beside) // rows_each, 5), 30)


def takes_text() -> bool:
    """Whether a write would not have to wait."""
    try:
        return bool(select.select([], [sys.stdout], [], 0)[1])
    except (OSError, ValueError):
        return False


def reflows() -> bool:
    """Whether rows are wrapped again when the terminal gets narrower: everywhere but in xterm and GNU Screen."""
    return "TMUX" in os.environ or not os.environ.keys() & {"XTERM_VERSION", "STY"}
