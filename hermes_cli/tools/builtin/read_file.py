"""The built-in tool read_file: text files below one folder, the current one or that of `read_file:FOLDER`."""

import errno
import os
import stat
from pathlib import Path

READ_ONLY = {"read_file"}

_MOST_BYTES = 10_000_000
_MOST_CHARACTERS = 16_000
_ROOT = Path(os.environ.get("HERMES_CLI_TOOL_SETTING") or ".").expanduser().resolve()


def read_file(path: str, first_line: int = 1) -> str:
    """Read a text file, or list the names in a folder.

    Args:
        path: The path of the file or folder, relative to the user's folder; "." is that folder.
        first_line: The line to begin with, to read on in a long file.
    """
    if first_line < 1:
        raise ValueError("first_line must be at least 1")
    try:
        target = _inside(path)
        if target.is_dir():
            return _listing(target)
        text = _text(target)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    lines = text.splitlines(keepends=True)
    if first_line > max(len(lines), 1):
        raise ValueError(f"{path} has only {len(lines)} lines")
    part: list[str] = []
    size = 0
    for line in lines[first_line - 1 :]:
        size += len(line)
        if part and size > _MOST_CHARACTERS:
            break
        part.append(line)
    following = first_line + len(part)
    more = f"\n[{len(lines)} lines in all; to read on: first_line {following}]" if following <= len(lines) else ""
    return "".join(part) + more


def _inside(path: str) -> Path:
    """The file meant, all links followed. Raises ValueError for one that lies outside."""
    if "\0" in path:
        raise ValueError("a path cannot hold a NUL character")
    target = Path(os.path.realpath(_ROOT / path))
    if not target.is_relative_to(_ROOT):
        raise ValueError(f"{path} is outside the folder that tools may read")
    return target


def _listing(folder: Path) -> str:
    names = sorted(entry.name + "/" * os.path.isdir(entry) for entry in os.scandir(folder))  # noqa: PTH112
    return "\n".join(names) or "[the folder is empty]"


def _text(target: Path) -> str:
    """The content of a regular file. Raises OSError, or ValueError for what is not text or too large."""
    # Not blocking: a named pipe must not be waited for.
    descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if status.st_size > _MOST_BYTES:
            raise ValueError(f"the file has {status.st_size:,} bytes, and at most {_MOST_BYTES:,} are read")
        content = file.read(_MOST_BYTES)
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if encoding == "utf-8-sig" and b"\0" in content:
        raise ValueError("the file is not text")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text") from None
