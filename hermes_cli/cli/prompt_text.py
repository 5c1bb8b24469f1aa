"""The text of a one-shot prompt: arguments, files and what is piped in."""

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from hermes_cli.errors import UsageError
from hermes_cli.terminal.text_file import LARGEST_BYTES, decoded, read_text, wrapped

STDIN = "-"


def prompt_text(words: Sequence[str], files: Sequence[Path]) -> str:
    """The words, then a blank line and stdin as it is, then each file wrapped with its name. Raises UsageError.

    A last word `-` asks for stdin; anywhere else it is a word, as in 5 - 3.
    """
    asked_for = bool(words) and words[-1] == STDIN
    # An argument that is not UTF-8 comes in with lone surrogates.
    parts = [" ".join(words[:-1] if asked_for else words).encode("utf-8", "replace").decode()]
    if asked_for or stdin_is_data():
        parts.append(decoded(_read_stdin(), "stdin"))
    parts += [wrapped(path) for path in files]
    text = "\n\n".join(part for part in parts if part)
    if not text.strip():
        raise UsageError("the prompt is empty", 'ask something: hermes ask "Hello, who are you?"')
    return text


def system_text(value: str | None) -> str | None:
    """The system prompt; `@FILE` reads it from a file."""
    if value is None or not value.startswith("@"):
        return value
    return read_text(Path(value[1:]))


def stdin_is_data() -> bool:
    """Only a pipe or a regular file is read unasked: anything else may never end."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _read_stdin() -> bytes:
    """All of it, in pieces: Python looks for a Ctrl-C only between two reads."""
    try:
        data = bytearray()
        while sys.stdin and len(data) <= LARGEST_BYTES and (piece := os.read(0, 1 << 20)):
            data += piece
        return bytes(data)
    except OSError as error:
        raise UsageError(f"cannot read stdin: {error.strerror}", "pipe text into the command") from error
