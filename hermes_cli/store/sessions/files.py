"""The folder of the sessions: its files, new ids, and removal."""

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import OutputError, SessionError
from hermes_cli.files import check_hint, folder_hint, make_private_folder, write_hint

ENDING = ".jsonl"
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_LARGEST_NS = 2**63 - 1
_CLOCKS_DIFFER_NS = 60 * 10**9  # of this machine and of the one that keeps the files


def session_files() -> Iterator[os.DirEntry[str]]:
    """The session files, except empty ones, which a crash leaves; none if there is no folder."""
    try:
        entries = list(os.scandir(paths.sessions_folder()))
    except OSError:
        return
    for entry in entries:
        stem = entry.name.removesuffix(ENDING)
        try:
            if stem != entry.name and ID.fullmatch(stem) and entry.is_file() and entry.stat().st_size:
                yield entry
        except OSError:  # removed meanwhile, or a link that leads nowhere
            continue


def folder_problem() -> SessionError | None:
    """Why the saved sessions cannot be listed; None if they can, or if there are none yet."""
    folder = paths.sessions_folder()
    try:
        os.scandir(folder).close()
    except OSError as error:
        if not isinstance(error, FileNotFoundError | NotADirectoryError) or os.path.lexists(folder):
            return SessionError(f"cannot read the sessions in {folder}: {error.strerror}", folder_hint(folder))
    return None


def written_ns(status: os.stat_result) -> int:
    """When a file was last written, in nanoseconds since 1970, limited to 64 bits (the year 2262)."""
    return min(max(status.st_mtime_ns, -_LARGEST_NS), _LARGEST_NS)


def latest_session() -> Path | None:
    """The session written last, None if there is none; times in the future, of a wrong clock, count as oldest."""
    now = time.time_ns() + _CLOCKS_DIFFER_NS
    written = [(written_ns(entry.stat()), entry.name, entry.path) for entry in session_files()]
    return Path(max(written, key=lambda one: (one[0] <= now, one))[2]) if written else None


def new_id() -> str:
    """An id that sorts by time: UTC date and time, and four random digits."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"


def session_file(id: str) -> Path:
    """The path of the session with this id, existing or not."""
    return paths.sessions_folder() / f"{id}{ENDING}"


def make_folder() -> None:
    """Make the folder of the sessions, private to the user. Raises OutputError."""
    folder = paths.sessions_folder()
    try:
        for needed in (paths.data_folder(), folder):
            make_private_folder(needed)
        status = folder.stat()
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}", write_hint(folder, error)) from error
    if status.st_uid != os.geteuid():
        raise OutputError(f"the folder {folder} belongs to another user", check_hint(folder))
    if status.st_mode & 0o077:
        with suppress(OSError):  # some file systems have no modes; the files are private all the same
            folder.chmod(stat.S_IMODE(status.st_mode) & ~0o077)


def is_in_folder(path: Path) -> bool:
    """Whether a file is in the sessions folder and found by its id."""
    stem = path.name.removesuffix(ENDING)
    if stem == path.name or not ID.fullmatch(stem):
        return False
    try:
        return path.parent.samefile(paths.sessions_folder())
    except OSError:
        return False


def remove_session(path: Path) -> None:
    """Delete a session's file. Raises OutputError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror}", check_hint(path)) from error


def is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False
