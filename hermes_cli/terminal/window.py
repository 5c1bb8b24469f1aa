"""The terminal window at stdout: its size as it is now, and writes whose errors are ours."""

import os
import select
import sys

from hermes_cli.terminal.answer_output import write_error

_USUAL_SIZE = (80, 24)


def send(data: bytes) -> None:
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


def size() -> tuple[int, int]:
    """Columns and rows."""
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return _USUAL_SIZE
    return columns or _USUAL_SIZE[0], rows or _USUAL_SIZE[1]


def takes_text() -> bool:
    """Whether a write would not have to wait."""
    try:
        return bool(select.select([], [sys.stdout], [], 0)[1])
    except (OSError, ValueError):
        return False


def reflows() -> bool:
    """Whether rows are wrapped anew when the window gets narrower: everywhere but in xterm and GNU Screen."""
    return "TMUX" in os.environ or not os.environ.keys() & {"XTERM_VERSION", "STY"}
