"""Commands about saved sessions."""

import os
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import UsageError
from hermes_cli.session.opening import branches, continued, reopen
from hermes_cli.store.sessions.names import find_session
from hermes_cli.store.sessions.reader import read_session, unsaved_session
from hermes_cli.store.sessions.writer import Transcript
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import FileOutput
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import file_name, turns
from hermes_cli.terminal.chat.commands.choose import choose
from hermes_cli.terminal.chat.recap import print_recap
from hermes_cli.terminal.sanitize import one_line

_LISTED = 15


def list_sessions(chat: Chat, argument: str) -> None:
    """List recent sessions, or those containing TEXT."""
    from hermes_cli.store.sessions.index import all_sessions, excerpt, search_sessions

    found = (search_sessions(argument) if argument else all_sessions())[:_LISTED]
    rows = [(one.id, one_line(excerpt(one.path, argument) if argument else one.title)) for one in found]
    if rows:
        console.table(rows, order=(0,), elastic=1, wrap=False)
    else:
        console.lines("no sessions found")


def load(chat: Chat, argument: str) -> None:
    """Continue a saved session, or choose one.

    The model stays. NAME is its id or a part of it, its title or a part of it, or its file.
    """
    name = argument or _chosen_session(chat)
    if name:
        _load(chat, find_session(name, part_of_title=True))


def _chosen_session(chat: Chat) -> str | None:
    """The id of a session that the user chooses."""
    from hermes_cli.store.sessions.index import all_sessions

    found = [one for one in all_sessions() if not chat.session.transcript or one.id != chat.session.transcript.id]
    rows = [(f"{one.used:%Y-%m-%d %H:%M}", one.title, one.model or "") for one in found]
    place = choose(chat, rows, "session", elastic=1)
    return None if place is None else found[place].id


def _load(chat: Chat, path: Path) -> None:
    if chat.session.transcript and path.resolve() == chat.session.transcript.path.resolve():
        raise UsageError(f"{path.stem} is the current session", "/fork continues in a copy of it")
    saved = read_session(path)
    layers, notes = continued(saved, chat.layers.then_session, with_preset=True)
    now = layers.now
    if chat.session.transcript:
        chat.session.transcript.save()  # raises before anything has changed
    chat.use_tools(layers)
    transcript, more = (None, ()) if now.save is False else reopen(saved)
    console.notice(*notes, *more)
    tree = branches(saved, transcript)
    chat.restart(saved.conversation, transcript, saved.last_turn_id, now.session_settings(), tree)
    chat.offer_unanswered(saved)
    console.notice(f"continuing {saved.id} · {saved.title}")
    print_recap(chat)


def export(chat: Chat, argument: str) -> None:
    """Write the chat to a .md, .txt, .html or .json file."""
    from hermes_cli.store.sessions.export import FORMATS, form_by_name

    if not argument:
        raise UsageError("/export needs a file name", "for example: /export chat.md")
    path = paths.expanded(file_name(argument))
    form = form_by_name(path)
    if not chat.session.conversation.turns:
        raise UsageError("there are no messages yet", "send a message first")
    if os.path.exists(path) and path not in chat.written:  # noqa: PTH110 - pathlib raises for names that are too long
        raise UsageError(f"{path} already exists", "choose another name, or remove it")
    session = chat.session
    session.save()
    if session.transcript and not session.saving_problem:
        saved = read_session(session.transcript.path)
    elif chat.ready():
        saved = unsaved_session(session.settings, session.conversation, session.backend.info.model_name)
    else:
        return
    text = FORMATS[form](saved)
    output = FileOutput(path)
    try:
        output.write(text.removesuffix("\n"))
        output.finish()
    except BaseException:
        output.discard()
        raise
    chat.written.add(path)
    console.notice(f"written: {path}")


def title(chat: Chat, argument: str) -> None:
    """Show or set the title of this session."""
    if not argument:
        console.lines(chat.transcript().title or "no title yet; set one: /title Notes on llamas")
        return
    chat.transcript().set_title(argument)
    console.notice(f"title: {chat.transcript().title}")


def fork(chat: Chat, argument: str) -> None:
    """Continue in a copy of this session, up to turn N.

    /fork 3 Another try sets a title too. The messages so far are in both sessions.
    """
    old = chat.transcript()
    first, _, rest = argument.partition(" ")
    (last,) = turns(chat, first if first.isdecimal() else "")
    argument = rest.strip() if first.isdecimal() else argument
    old.save()
    saved = read_session(old.path).at_turn(last.id)
    transcript = Transcript.fork(saved)
    transcript.save()
    if argument:
        transcript.set_title(argument)
    chat.restart(saved.conversation, transcript, saved.last_turn_id)
    console.notice(f"continuing in {transcript.id}; {old.id} is unchanged")
