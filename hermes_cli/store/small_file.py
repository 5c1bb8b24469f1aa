"""A file that a person wrote and the program reads whole: bounded, and never waited for."""

import os
import stat
from pathlib import Path


class Unreadable(ValueError):
    """Why the file cannot be used: half a sentence that follows its name."""


def read_text(path: Path, largest_bytes: int) -> str:
    """The file's UTF-8 text without a byte order mark. Raises Unreadable, and OSError as the system says it."""
    # Without O_NONBLOCK a named pipe would be waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise Unreadable("is a folder, not a file" if stat.S_ISDIR(mode) else "is not a file of text")
        with open(handle, "rb", closefd=False) as file:
            data = file.read(largest_bytes + 1)
    finally:
        os.close(handle)
    if len(data) > largest_bytes:
        raise Unreadable(f"is larger than {largest_bytes >> 10} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unreadable(f"is not UTF-8 text: line {line}") from error
