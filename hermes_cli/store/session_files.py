"""Where sessions lie and what they are called: their folder, new ids, and which file a name means."""

import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import OutputError, SessionError, UsageError, did_you_mean

ENDING = ".jsonl"
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_SHOWN = 5
_LARGEST_NS = 2**63 - 1
_CLOCKS_DIFFER_NS = 60 * 10**9  # of this machine and of the one that keeps the files


def session_files() -> Iterator[os.DirEntry[str]]:
    """The files that are sessions; empty ones are what a crash leaves of a new one. No folder is no session."""
    try:
        entries = list(os.scandir(paths.sessions_folder()))
    except OSError:
        return
    for entry in entries:
        stem = entry.name.removesuffix(ENDING)
        try:
            if stem != entry.name and _ID.fullmatch(stem) and entry.is_file() and entry.stat().st_size:
                yield entry
        except OSError:  # removed meanwhile, or a link that leads nowhere
            continue


def written_ns(status: os.stat_result) -> int:
    """When a file was written last, in nanoseconds since 1970; what 64 bits do not hold (after 2262) is cut."""
    return min(max(status.st_mtime_ns, -_LARGEST_NS), _LARGEST_NS)


def latest_session() -> Path | None:
    """The session that was written last, None if there is none; times to come are of a clock that was put back."""
    now = time.time_ns() + _CLOCKS_DIFFER_NS
    written = [(written_ns(entry.stat()), entry.name, entry.path) for entry in session_files()]
    return Path(max(written, key=lambda one: (one[0] <= now, one))[2]) if written else None


def find_session(name: str) -> Path:
    """The file of a session by its id, the beginning or the last part of it, its title or its path.

    Raises UsageError for what is not there, and for what may mean several.
    """
    names_a_file = os.sep in name or name.endswith(ENDING)
    if names_a_file and _is_file(path := paths.expanded(name)):
        return path
    # Without a look at all the others: a script may name hundreds, one after another.
    if not names_a_file and _ID.fullmatch(name) and _is_file(path := session_file(name)):
        return path
    files = {Path(entry.path).stem: Path(entry.path) for entry in session_files()}
    meant = [id for id in files if name and (id.startswith(name) or id.rpartition("-")[2] == name)]
    if len(meant) == 1:
        return files[meant[0]]
    from hermes_cli.store.session_index import all_sessions

    titles = {session.id: session.title for session in all_sessions()}
    wanted = " ".join(name.split()).casefold()
    titled = [id for id in files if wanted and titles.get(id, "").casefold() == wanted]
    if len(titled) == 1:
        return files[titled[0]]
    if meant or titled:
        raise _ambiguous(name, titled or meant, titles)
    if names_a_file:
        raise UsageError(f"there is no session file {name}", "see what there is: hermes sessions list")
    known = [*files, *filter(None, titles.values())]
    hint = did_you_mean(name, known, "see what there is: hermes sessions list")
    raise UsageError(f"there is no session {name}", hint)


def find_to_change(name: str) -> Path:
    """As `find_session`, but only what may be renamed or removed: what lies in the folder, or begins as a session.

    Raises UsageError, also for a file elsewhere that is none.
    """
    path = find_session(name)
    if lies_in_the_folder(path):
        return path
    from hermes_cli.store.saved_session import read_session

    with suppress(SessionError):
        if read_session(path).has_header:
            return path
    raise UsageError(f"{name} is not a session of hermes", "see what there is: hermes sessions list")


def new_id() -> str:
    """An id that sorts by time: date and time in UTC, and four random digits."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def session_file(id: str) -> Path:
    """The file of the session with this id, there or not."""
    return paths.sessions_folder() / f"{id}{ENDING}"


def make_folder() -> None:
    """The folder of the sessions, for the user's eyes only. Raises OutputError."""
    folder = paths.sessions_folder()
    try:
        for needed in (paths.data_folder(), folder):
            needed.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}", f"look at it: {_look(folder)}"
        ) from error
    if status.st_uid != os.geteuid():
        raise OutputError(f"the folder {folder} belongs to another user", f"look at it: {_look(folder)}")
    if status.st_mode & 0o077:
        with suppress(OSError):  # some file systems have no modes; the files are private all the same
            folder.chmod(stat.S_IMODE(status.st_mode) & ~0o077)


def lies_in_the_folder(path: Path) -> bool:
    """Whether a file is one of the sessions that are found by their id."""
    stem = path.name.removesuffix(ENDING)
    if stem == path.name or not _ID.fullmatch(stem):
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
        raise OutputError(f"cannot remove {path}: {error.strerror}", f"look at it: {_look(path.parent)}") from error


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _ambiguous(name: str, ids: Iterable[str], titles: dict[str, str]) -> UsageError:
    newest = sorted(ids, reverse=True)
    shown = ", ".join(f"{id} ({titles.get(id, '')})" for id in newest[:_SHOWN])
    more = f" and {len(newest) - _SHOWN} more" if len(newest) > _SHOWN else ""
    return UsageError(f"{name} may mean several sessions: {shown}{more}", "give more of the id")


def _look(path: Path) -> str:
    return f"ls -ld '{path}'"
