"""What was typed before: a private file of one JSON string per line, shared by all chats."""

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from prompt_toolkit.history import History

from hermes_cli.terminal.prompt.folded_text import harmless, has_fold

_MOST_FILE_BYTES = 1 << 20
_KEPT_FILE_BYTES = 1 << 19
_MOST_ENTRIES = 2_000
_MOST_CHARACTERS = 5_000
_LOCK_TRIES, _LOCK_WAIT_S = 40, 0.005


class MessageHistory(History):
    """The messages of this chat and, from the file, of earlier ones. `None` keeps no file.

    Left out are messages that begin with a space, and one that is the same as the last. The file does not get messages
    with a long paste nor any over 5,000 characters; over 1 MB it loses its older half. A file that cannot be used is
    no error: `problem` says why, once.
    """

    def __init__(self, file: Path | None) -> None:
        super().__init__()
        self._file = file
        self._problem: str | None = None
        self._told = False

    def load_history_strings(self) -> Iterable[str]:
        """The entries of the file, the last one first."""
        if self._file is None:
            return []
        try:
            with _opened(self._file, writing=False) as descriptor:
                entries = list(_entries(_tail(descriptor, _MOST_FILE_BYTES)))
        except FileNotFoundError:
            return []
        except OSError as error:
            self._fail(error)
            return []
        return reversed(entries[-_MOST_ENTRIES:])

    def append_string(self, string: str) -> None:
        """Add a message; `string` is the line as it was edited."""
        if not string.strip() or string.startswith(" ") or self._loaded_strings[:1] == [string]:
            return
        super().append_string(string)

    def store_string(self, string: str) -> None:
        """Append to the file."""
        if self._file is None or has_fold(string) or len(string) > _MOST_CHARACTERS:
            return
        line = json.dumps(string).encode() + b"\n"
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _opened(self._file, writing=True) as descriptor, _locked(descriptor) as alone:
                size = os.fstat(descriptor).st_size
                if alone and size > _MOST_FILE_BYTES:
                    _shorten(descriptor)
                # A line that another program left unfinished would swallow this one.
                os.write(descriptor, line if _ends_a_line(descriptor) else b"\n" + line)
        except OSError as error:
            self._fail(error)

    def problem(self) -> str | None:
        """Why the file cannot be used; None if it can or was told already."""
        problem, self._problem = self._problem, None
        return problem

    def _fail(self, error: OSError) -> None:
        if not self._told:
            self._told, self._problem = True, f"no history on disk: {self._file}: {error.strerror}"


@contextlib.contextmanager
def _opened(file: Path, *, writing: bool) -> Iterator[int]:
    """The file, private, if it is one; anything else raises OSError and is not touched."""
    mode = os.O_RDWR | os.O_APPEND | os.O_CREAT if writing else os.O_RDONLY
    descriptor = os.open(file, mode | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(found):
            raise OSError(0, "it is not a file")
        if writing and found & 0o077:
            os.fchmod(descriptor, 0o600)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[bool]:
    """Whether no other chat writes meanwhile. It is not waited for long: an appended line is whole without it."""
    alone = False
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
            break
        except OSError:
            time.sleep(_LOCK_WAIT_S)
    yield alone  # closing the file unlocks it


def _shorten(descriptor: int) -> None:
    """Keep the newer half, in the same file: another chat may have it open."""
    kept = _tail(descriptor, _KEPT_FILE_BYTES)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, kept)


def _tail(descriptor: int, most: int) -> bytes:
    """The last whole lines, at most `most` bytes."""
    size = os.fstat(descriptor).st_size
    data = b""
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(max(0, size - most))
        data = file.read(most)
    return data if size <= most else data[data.find(b"\n") + 1 :]


def _ends_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def _entries(data: bytes) -> Iterator[str]:
    """The entries that can be read; the others are passed over."""
    for line in data.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, str) and entry.strip() and not has_fold(entry):
                yield harmless(entry[:_MOST_CHARACTERS])
