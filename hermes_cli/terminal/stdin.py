"""Reading stdin: when it is read, and notices while hermes waits for it.

A pipe, a socket or a regular file is read; a terminal or another device only if `-` asks for it.
"""

import os
import select
import stat
import sys
import time
from pathlib import Path

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.attachments.text_file import LARGEST_BYTES, text_of

_NOTICE_AFTER_S = 2.0
_WAKE_S = 0.1
_READ_BYTES = 1 << 20
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "mksh", "busybox", "ash", "fish")


def stdin_is_data() -> bool:
    """Whether stdin is read without `-`: a pipe, a socket or a file; others may never end."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode)


def read_stdin(*, asked_for: bool = True) -> str:
    """The rest of stdin as text. Raises UsageError.

    A notice is printed if nothing arrives for two seconds, and, unless stdin was `asked_for`, if a loop over its lines
    may have been meant: the beginning of a file was read before, or the shell that runs hermes reads the same pipe.
    """
    try:
        shared = None if asked_for else _shared()
        data = _read() if sys.stdin else b""
    except OSError as error:
        raise UsageError(f"cannot read stdin: {error.strerror}", "pipe text into it, or add < /dev/null") from error
    text = text_of(data, "stdin", nul_is_text=True)
    if shared is not None and data:
        lines = data.count(b"\n") + (not data.endswith(b"\n"))
        count = "1 line" if lines == 1 else f"{lines:,} lines"
        console.notice(f"also read {shared}{count} of stdin; to leave them for the loop, add < /dev/null")
    return text


def _shared() -> str | None:
    """None if only hermes reads stdin, otherwise a word for the notice: `the other ` if part of a file was read."""
    mode = os.fstat(0).st_mode
    if stat.S_ISREG(mode):
        return "the other " if os.lseek(0, 0, os.SEEK_CUR) > 0 else None
    return "" if _parent_shell_has_it() else None


def _parent_shell_has_it() -> bool:
    """Whether the parent is a shell with the same stdin; False where that cannot be found out, as on macOS."""
    parent = Path("/proc", str(os.getppid()))
    try:
        is_shell = (parent / "comm").read_text().strip() in _SHELLS
        return is_shell and os.path.samestat(os.fstat(0), (parent / "fd" / "0").stat())
    except OSError:
        return False


def _read() -> bytes:
    """All bytes up to the end, with a notice if none arrive."""
    data = bytearray()
    started, noticed = time.monotonic(), console.is_terminal(sys.stdin)
    while len(data) <= LARGEST_BYTES:
        if not data and not noticed and time.monotonic() - started >= _NOTICE_AFTER_S:
            noticed = True
            console.notice("waiting for text on stdin; if there is none, add < /dev/null")
        if select.select([0], [], [], _WAKE_S)[0]:
            if not (piece := os.read(0, _READ_BYTES)):
                break
            data += piece
    return bytes(data)
