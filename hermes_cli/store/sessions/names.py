"""Finding a session by name."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import SessionError, UsageError, did_you_mean
from hermes_cli.store.sessions.files import ENDING, ID, is_file, is_in_folder, session_file, session_files

_SHOWN = 5


def find_session(name: str, *, part_of_title: bool = False) -> Path:
    """The file of a session by its id, the beginning or last part of it, its title or its path.

    With `part_of_title`, also by the beginning of its title, or else by a part of it. Raises UsageError if nothing or
    more than one session matches.
    """
    names_a_file = os.sep in name or name.endswith(ENDING)
    if names_a_file and is_file(path := paths.expanded(name)):
        return path
    # Without listing the folder: a script may name hundreds, one after another.
    if not names_a_file and ID.fullmatch(name) and is_file(path := session_file(name)):
        return path
    files = {Path(entry.path).stem: Path(entry.path) for entry in session_files()}
    meant = [id for id in files if name and (id.startswith(name) or id.rpartition("-")[2] == name)]
    if len(meant) == 1:
        return files[meant[0]]
    from hermes_cli.store.sessions.index import all_sessions

    titles = {session.id: session.title for session in all_sessions()}
    wanted = " ".join(name.split()).casefold()
    titled = [id for id in files if wanted and titles.get(id, "").casefold() == wanted]
    if part_of_title and wanted and not (titled or meant):
        folded = {id: titles.get(id, "").casefold() for id in files}
        titled = [id for id, title in folded.items() if title.startswith(wanted)]
        titled = titled or [id for id, title in folded.items() if wanted in title]
    if len(titled) == 1:
        return files[titled[0]]
    if meant or titled:
        raise _ambiguous(name, titled or meant, titles)
    if names_a_file:
        raise UsageError(f"there is no session file {name}", "list the sessions: hermes sessions list")
    known = [*files, *filter(None, titles.values())]
    hint = did_you_mean(name, known, "list the sessions: hermes sessions list")
    raise UsageError(f"there is no session {name}", hint)


def find_to_change(name: str) -> Path:
    """As `find_session`, for renaming and removing: a file in the folder, or one elsewhere that is a session.

    Raises UsageError, also for a file elsewhere that is not a session.
    """
    path = find_session(name)
    if is_in_folder(path):
        return path
    from hermes_cli.store.sessions.reader import read_session

    with suppress(SessionError):
        if read_session(path).has_header:
            return path
    raise UsageError(f"{name} is not a session of hermes", "list the sessions: hermes sessions list")


def _ambiguous(name: str, ids: Iterable[str], titles: dict[str, str]) -> UsageError:
    newest = sorted(ids, reverse=True)
    shown = ", ".join(f"{id} ({titles.get(id, '')})" for id in newest[:_SHOWN])
    more = f" and {len(newest) - _SHOWN} more" if len(newest) > _SHOWN else ""
    return UsageError(f"{name} matches several sessions: {shown}{more}", "type more of the id")
