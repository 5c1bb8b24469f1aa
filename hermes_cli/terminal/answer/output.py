"""Outputs for an answer: exact bytes for pipes and files, safe text for terminals."""

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from hermes_cli.errors import OutputError
from hermes_cli.files import FULL, to_disk, write_hint
from hermes_cli.terminal.console import colored, is_terminal, write_error
from hermes_cli.terminal.sanitize import for_terminal

STANDARD_OUTPUT = Path("-")  # what names stdout after -o, as in most programs
_STREAMS = {"stdout": 1, "stderr": 2}
# Terminals without the codes that move the cursor up and erase a line, or of which nothing is known.
_LIMITED_TERMINALS = ("", "unknown", "network", "dialup", "switch", "vt52")
_DESCRIPTOR = re.compile(r"/dev/(stdout|stderr|fd/\d+)|/proc/self/fd/\d+")


class AnswerOutput(Protocol):
    """Takes the answer piece by piece. What a kind of output has no use for, it leaves as it is here."""

    def watch(self, figures: Callable[[], str]) -> bool:
        """Take the figures to show below the text; whether they can be on a line of stderr instead."""
        return False

    def follow(self, text: str) -> None:
        """Take the beginning of the answer, which was shown before."""
        return

    def write(self, text: str) -> None:
        """Take the next piece."""
        return

    def finish(self) -> None:
        """End the answer with a newline."""
        return

    def discard(self) -> None:
        """Forget the answer where that is possible; may be called from a signal handler."""
        return

    def break_off(self) -> None:
        """An error ended the answer."""
        self.discard()

    def pause(self) -> None:
        """End what is shown, so that something else can be printed below it."""
        return

    def resumed(self) -> None:
        """The process was stopped, and others used the terminal."""
        return


class StandardOutput(AnswerOutput):
    """stdout, flushed with every piece. A closed pipe raises BrokenPipeError, a full disk OutputError."""

    def __init__(self) -> None:
        if sys.stdout is None:
            raise OutputError("stdout is closed", "open it, as with > answer.md")
        self._file: BinaryIO = sys.stdout.buffer
        self._terminal = is_terminal(sys.stdout)
        self._in_line = False

    def watch(self, figures: Callable[[], str]) -> bool:
        """Whether stdout is a file; a program that reads a pipe may be using the terminal."""
        try:
            return stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        except OSError:
            return False

    def write(self, text: str) -> None:
        """Send `text` now."""
        self._in_line = not text.endswith("\n") if text else self._in_line
        try:
            self._file.write((for_terminal(text) if self._terminal else text).encode("utf-8", "replace"))
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise write_error(error) from error

    def finish(self) -> None:
        """End the last line."""
        self.write("\n")

    def break_off(self) -> None:
        """End the line that was begun."""
        if self._in_line:
            self.write("\n")

    def pause(self) -> None:
        """End the line on a terminal; in a pipe nothing else is printed."""
        if self._terminal and self._in_line:
            self.write("\n")


class Collected(AnswerOutput):
    """Prints nothing; for forms of output that need the whole answer."""

    def __init__(self, *, watched: bool = False) -> None:
        self._watched = watched

    def watch(self, figures: Callable[[], str]) -> bool:
        """Whether figures are shown on stderr."""
        return self._watched


class FileOutput(AnswerOutput):
    """A file that gets its name at the end of the answer; devices and pipes are written directly.

    A stopped answer ends too: its part takes the place of what the file held, as it would with `> FILE`. An answer
    without any text, or one that failed, leaves the file as it was. Behind a descriptor such as /dev/stdout a closed
    pipe raises BrokenPipeError as there; all else raises OutputError.
    """

    def __init__(self, path: Path) -> None:
        import tempfile

        self._path = path
        self._temporary: Path | None = None
        self._is_descriptor = False
        try:
            self._is_descriptor = bool(_DESCRIPTOR.fullmatch(str(path.absolute())))
            if self._is_descriptor:
                # Already open here: to open it again would write over what is in the file behind it.
                self._file: BinaryIO = os.fdopen(os.dup(_STREAMS.get(path.name) or int(path.name)), "wb")
            elif path.exists() and not stat.S_ISREG(path.stat().st_mode):
                self._file = path.open("wb")
            elif path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            else:
                self._path = Path(os.path.realpath(path))
                mode = self._path.stat().st_mode & 0o777 if self._path.exists() else 0o666 & ~_umask()
                handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".hermes-")
                self._temporary, self._file = Path(name), os.fdopen(handle, "wb")
                self._temporary.chmod(mode)
        except (OSError, ValueError, OverflowError) as error:  # a NUL in a name, or a number too large
            raise self._failed(error) from error
        self._terminal = self._file.isatty()

    def watch(self, figures: Callable[[], str]) -> bool:
        """Whether it is a regular file, which leaves the terminal free."""
        return self._temporary is not None

    def write(self, text: str) -> None:
        """Append `text`."""
        try:
            self._file.write((for_terminal(text) if self._terminal else text).encode("utf-8", "replace"))
            if not self._temporary:
                self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def finish(self) -> None:
        """End the last line and put the file in place."""
        try:
            self._file.write(b"\n")
            self._file.flush()
            if self._temporary:
                to_disk(self._file.fileno())
            self._file.close()
            if self._temporary:
                self._temporary.replace(self._path)
        except OSError as error:
            raise self._failed(error) from error

    def discard(self) -> None:
        """Leave the target as it was; may be called from a signal handler, in the middle of a write."""
        if self._temporary:
            self._temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError, RuntimeError):
            self._file.close()

    def _failed(self, error: Exception) -> Exception:
        """What to raise for `error`."""
        if isinstance(error, BrokenPipeError) and self._is_descriptor:
            return error
        if not isinstance(error, OSError):
            return OutputError(f"cannot write {self._path}: {error}", "choose another place for the file")
        hint = write_hint(self._path, error) if error.errno in FULL else "choose another place for the file"
        return OutputError(f"cannot write {self._path}: {error.strerror}", hint)


def standard_output() -> AnswerOutput:
    """The default output: rendered Markdown on a terminal, the exact text anywhere else.

    In CI and on a terminal that cannot move the cursor only finished blocks are printed; TERM=dumb gets plain text.
    """
    terminal = os.environ.get("TERM", "")
    if not is_terminal(sys.stdout) or terminal == "dumb":
        return StandardOutput()
    from hermes_cli.terminal.markdown.output import MarkdownOutput

    if terminal in _LIMITED_TERMINALS:
        return MarkdownOutput("none", live=False)
    return MarkdownOutput("colors" if colored(sys.stdout) else "attributes", live="CI" not in os.environ)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
