"""Text files that go into a prompt."""

import os
from html import escape
from pathlib import Path

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console

LARGEST_BYTES = 64 << 20


def wrapped(path: Path) -> str:
    """A file's text between tags that name it."""
    name = escape(" ".join(path.name.split()))
    return f'<file name="{name}">\n{read_text(path)}\n</file>'


def read_text(path: Path) -> str:
    """A text file without its last newline; bytes that are not UTF-8 are replaced, with a notice. Raises UsageError."""
    try:
        with open(os.path.expanduser(path), "rb") as file:  # noqa: PTH111, PTH123 - pathlib raises for unknown users
            data = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a NUL, or of no bytes
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read {path}: {why}", "check the name of the file") from error
    return decoded(data, str(path))


def decoded(data: bytes, source: str) -> str:
    """`data` as text without its last newline, at most LARGEST_BYTES of it. Raises UsageError."""
    if len(data) > LARGEST_BYTES:
        raise UsageError(f"{source} is larger than {LARGEST_BYTES >> 20} MiB", "give a part of it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        console.notice(f"{source} is not UTF-8; the bytes that cannot be read became U+FFFD")
    return text.removesuffix("\n").removesuffix("\r")
