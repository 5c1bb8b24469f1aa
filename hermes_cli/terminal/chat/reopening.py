"""Going on with a saved session: its file and its preset, or what takes their place, with a notice."""

from typing import TYPE_CHECKING

from hermes_cli.errors import SessionBusy, UsageError
from hermes_cli.store.sessions.reader import SavedSession
from hermes_cli.store.sessions.writer import Transcript
from hermes_cli.terminal import console

if TYPE_CHECKING:
    from hermes_cli.store.presets.presets import Preset


def open_transcript(saved: SavedSession) -> Transcript:
    """The file of a saved session to write on; a copy of one that another program is writing, with a notice."""
    try:
        return Transcript.reopen(saved)
    except SessionBusy as busy:
        copy = Transcript.fork(saved)
        console.notice(f"{busy.message}; this goes on in a copy, {copy.id}")
        return copy


def saved_preset(saved: SavedSession) -> "Preset | None":
    """The preset of a saved session, for its tools and schema; says so where it cannot be used any more."""
    name = saved.settings.preset
    if name is None:
        return None
    from hermes_cli.store.presets.presets import find_preset

    try:
        return find_preset(name)
    except UsageError as problem:
        console.notice(f"{problem.message}; the session goes on with its prompt and sampling, but not with its tools")
        return None
