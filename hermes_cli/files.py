"""Files that several programs use and a loss of power must not tear: what has to be on the disk, who is writing."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def to_disk(descriptor: int) -> None:
    """Wait until what was written would survive a power cut; on macOS `fsync` alone leaves it in the drive's memory."""
    import fcntl

    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # not every file system has it
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def folder_to_disk(folder: Path) -> None:
    """The same for the names in a folder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        to_disk(descriptor)
    finally:
        os.close(descriptor)


def replace_whole(file: Path, text: str) -> None:
    """Let `file`, for its owner's eyes only, hold this text; whoever reads it finds all of it or what was there before.

    Raises OSError.
    """
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".hermes-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            to_disk(stream.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def in_use(file: Path) -> bool:
    """Whether a program has locked this file; where that cannot be found out, nobody has."""
    import fcntl

    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
