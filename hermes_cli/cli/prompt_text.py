"""The text of a one-shot prompt: arguments, files and what is piped in."""

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console

STDIN = "-"


def prompt_text(words: Sequence[str], files: Sequence[Path]) -> str:
    """The words, then a blank line and stdin as it is, then each file wrapped with its name. Raises UsageError.

    A last word `-` asks for stdin; anywhere else it is a word, as in 5 - 3.
    """
    asked_for = bool(words) and words[-1] == STDIN
    parts = [" ".join(words[:-1] if asked_for else words)]
    if asked_for or _stdin_is_data():
        parts.append(_decoded(_read_stdin(), "stdin"))
    parts += [wrapped(path) for path in files]
    text = "\n\n".join(part for part in parts if part)
    if not text.strip():
        raise UsageError("the prompt is empty", 'ask something: hermes ask "Hello, who are you?"')
    return text


def wrapped(path: Path) -> str:
    """A file's text between tags that name it."""
    return f'<file name="{path.name}">\n{read_text(path)}\n</file>'


def system_text(value: str | None) -> str | None:
    """The system prompt; `@FILE` reads it from a file."""
    if value is None or not value.startswith("@"):
        return value
    return read_text(Path(value[1:]))


def read_text(path: Path) -> str:
    """A text file without its last newline; bytes that are not UTF-8 are replaced, with a notice."""
    try:
        data = path.expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "check the name of the file") from error
    return _decoded(data, str(path))


def _decoded(data: bytes, source: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        console.notice(f"{source} is not UTF-8; the bytes that cannot be read became U+FFFD")
    return text.removesuffix("\n").removesuffix("\r")


def _stdin_is_data() -> bool:
    """Only a pipe or a regular file is read unasked: anything else may never end."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _read_stdin() -> bytes:
    """All of it, in pieces: Python looks for a Ctrl-C only between two reads."""
    try:
        return b"".join(iter(lambda: os.read(0, 1 << 20), b"")) if sys.stdin else b""
    except OSError as error:
        raise UsageError(f"cannot read stdin: {error.strerror}", "pipe text into the command") from error
