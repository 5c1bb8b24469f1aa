"""`hermes sessions rm` and `prune`: list what would be removed, and ask before removing it."""

from collections.abc import Sequence
from pathlib import Path

from hermes_cli import paths
from hermes_cli.cli.confirm import agreed, check_terminal
from hermes_cli.cli.lists import session_list
from hermes_cli.errors import HermesError, SessionBusy, UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.sanitize import one_line


def remove(names: Sequence[str], yes: bool) -> int:
    """Remove the named sessions; 1 if the user declines. Raises UsageError, SessionBusy."""
    from hermes_cli.files import in_use
    from hermes_cli.store.sessions.names import find_to_change
    from hermes_cli.store.sessions.reader import read_session

    files = list(dict.fromkeys(map(find_to_change, names)))
    for path in files:
        if in_use(path):
            raise SessionBusy(f"the session {path.stem} is open in another program", "close it there first")
    without_asking = "hermes sessions rm --yes " + " ".join(path.stem for path in files)
    if not yes:
        check_terminal(f"remove without asking: {without_asking}")
        for path in files:
            try:
                title = read_session(path).title
            except HermesError as problem:
                title = problem.message
            console.notice(f"{path.stem}  {title}")
    return _remove(files, yes)


def prune(older_than: str | None, larger_than: str | None, keep_under: str | None, yes: bool) -> int:
    """Remove the sessions beyond these limits; 1 if the user declines. Raises UsageError."""
    from hermes_cli.files import in_use
    from hermes_cli.store.sessions.files import latest_session
    from hermes_cli.store.sessions.index import all_sessions

    if not (older_than or larger_than or keep_under):
        raise UsageError("prune needs a limit", "for example: hermes sessions prune --older-than 30d")
    named = session_list.beyond(all_sessions(), older_than, larger_than, keep_under, latest_session())
    unwanted = [session for session in named if not in_use(session.path)]
    if len(unwanted) < len(named):
        console.notice(f"{len(named) - len(unwanted)} skipped: open in another program")
    if not unwanted:
        console.notice("nothing to remove")
        return 0
    session_list.print_sessions(unwanted)
    if not yes:
        check_terminal("remove without asking: hermes sessions prune --yes with the same options")
    return _remove([session.path for session in unwanted], yes)


def _remove(files: Sequence[Path], yes: bool) -> int:
    """Ask, then remove; 1 if the user declines or a session is open elsewhere."""
    from hermes_cli.engine.cache.kv_store import trim
    from hermes_cli.files import in_use
    from hermes_cli.store.sessions.files import remove_session
    from hermes_cli.store.sessions.index import all_sessions

    what = f"the session {one_line(files[0].stem)}" if len(files) == 1 else f"these {len(files)} sessions"
    if not yes and not agreed(f"Remove {what} permanently?"):
        return 1
    busy = [path for path in files if in_use(path)]  # it was opened while the user was asked
    for path in files:
        if path in busy:
            console.notice(f"{path.stem} is open in another program and was not removed")
        else:
            remove_session(path)
    # Prompt caches may hold text of the sessions.
    trim(paths.kv_folder(), 0)
    all_sessions()  # refreshes the index, which drops their text
    return 1 if busy else 0
