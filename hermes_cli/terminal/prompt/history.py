"""Messages typed in earlier chats: prompt-toolkit's history file, private and bounded."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from prompt_toolkit.history import FileHistory

from hermes_cli.files import make_private_folder, replace_whole
from hermes_cli.terminal.prompt.folded_text import harmless, has_fold

_MOST_FILE_BYTES = 1 << 20
_MOST_ENTRIES = 2_000
_MOST_CHARACTERS = 5_000
_SURROGATE = re.compile("[\ud800-\udfff]")


class MessageHistory(FileHistory):
    """The messages of this chat and, from a file with mode 0600, of earlier ones; None keeps no file.

    Skipped are messages that begin with a space and one that equals the last. Messages with a long paste or over 5,000
    characters are not written. A file over 1 MB loses its older half. A file that cannot be used is not an error:
    `problem` says why, once.
    """

    def __init__(self, file: Path | None) -> None:
        super().__init__(str(file))
        self._file = file
        self._problem: str | None = None
        self._reported = False
        self._paused = False

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Within the block no line is added."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def load_history_strings(self) -> Iterable[str]:
        """The entries of the file, newest first."""
        if self._file is None:
            return []
        try:
            _check_regular(self._file)
            _shorten(self._file)
            entries = islice(super().load_history_strings(), _MOST_ENTRIES)
            return [harmless(entry) for entry in entries if entry.strip() and not has_fold(entry)]
        except OSError as error:
            self._fail(error)
            return []

    def append_string(self, string: str) -> None:
        """Add a message; `string` is the line as it was edited."""
        if not self._paused and string.strip() and not string.startswith(" ") and self._loaded_strings[:1] != [string]:
            super().append_string(string)

    def store_string(self, string: str) -> None:
        """Append a message to the file."""
        if self._file is None or has_fold(string) or len(string) > _MOST_CHARACTERS:
            return
        try:
            _check_regular(self._file)
            make_private_folder(self._file.parent)
            os.close(os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._file.chmod(0o600)
            super().store_string(_SURROGATE.sub("\ufffd", string))
        except OSError as error:
            self._fail(error)

    def problem(self) -> str | None:
        """Why the file cannot be used; None if it can or this was reported before."""
        problem, self._problem = self._problem, None
        return problem

    def _fail(self, error: OSError) -> None:
        if not self._reported:
            self._reported, self._problem = True, f"the history is not saved: {self._file}: {error.strerror}"


def _check_regular(file: Path) -> None:
    """Raise OSError for a pipe, a device or a folder: opening it could wait forever."""
    if file.exists() and not file.is_file():
        raise OSError(0, "it is not a regular file")


def _shorten(file: Path) -> None:
    """Keep the newer half of a file that has grown too large. Raises OSError."""
    if not file.exists() or file.stat().st_size <= _MOST_FILE_BYTES:
        return
    newer = file.read_bytes()[-_MOST_FILE_BYTES // 2 :]
    replace_whole(file, newer[newer.find(b"\n# ") + 1 :].decode("utf-8", "replace"))
