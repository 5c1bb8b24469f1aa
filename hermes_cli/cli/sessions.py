"""`hermes sessions`: list, read, search, name, remove, export and import saved sessions."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hermes_cli import paths
from hermes_cli.cli.confirm import agreed, check_somebody_is_here
from hermes_cli.cli.lists import session_list
from hermes_cli.errors import HermesError, SessionBusy, UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import STANDARD_OUTPUT, AnswerOutput, FileOutput, StandardOutput
from hermes_cli.terminal.sanitize import one_line

if TYPE_CHECKING:
    from hermes_cli.store.sessions.index import SessionSummary
    from hermes_cli.store.sessions.reader import SavedSession

app = typer.Typer(
    help="Saved chats: list, read, search, name, remove, export and import them.",
    rich_markup_mode=None,
    invoke_without_command=True,
)
_SHOWN = 30
_NAME_HELP = "The id, its beginning or its last part, the title, or a file."
Name = Annotated[str, typer.Argument(metavar="ID", help=_NAME_HELP)]
NameOrLatest = Annotated[str | None, typer.Argument(metavar="[ID]", help=f"{_NAME_HELP} [default: the last used]")]
Limit = Annotated[
    int | None, typer.Option("-n", metavar="N", min=0, help=f"At most N, 0 for all. [default: {_SHOWN} on a terminal]")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Format = Literal["md", "json", "html", "sharegpt", "openai"]


@app.callback()
def _alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_sessions()


@app.command("list")
def list_sessions(
    count: Limit = None, json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False
) -> None:
    """List the sessions, the last used first: id, time of the last use, turns, size, model, title."""
    from hermes_cli.store.sessions.index import all_sessions

    sessions = all_sessions()
    shown = _first(sessions, count, json)
    if json:
        _write(session_list.as_json(shown))
    else:
        _write(session_list.table(shown) if console.is_terminal(sys.stdout) else session_list.tab_separated(shown))
    _tell_rest(sessions, shown, json)


@app.command("show")
def show(
    name: NameOrLatest = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what was undone or regenerated.")] = False,
) -> None:
    """Print a session to read: the questions after `>`, the answers as they came."""
    _write(_readable(_read(name), everything=everything))


@app.command("search")
def search(
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="What was said; upper or lower case is the same.")],
    count: Limit = None,
) -> int:
    """Find sessions in which something was said, also in what was undone or regenerated. 1 if there is none."""
    from hermes_cli.store.sessions.index import excerpt, search_sessions

    wanted = " ".join(text)
    if not wanted.strip():
        raise UsageError("there is nothing to search for", "give a word: hermes sessions search llama")
    sessions = search_sessions(wanted)
    shown, on_terminal = _first(sessions, count), console.is_terminal(sys.stdout)
    for session in shown:
        place = excerpt(session.path, wanted)
        if on_terminal:
            _write(f"{session.id}  {session.used:%Y-%m-%d %H:%M}  {one_line(session.title)}\n    {one_line(place)}\n")
        else:
            _write(f"{session.id}\t{' '.join(session.title.split())}\t{place}\n")
    _tell_rest(sessions, shown)
    return 0 if sessions else 1


@app.command("rename")
def rename(name: Name, title: Annotated[list[str], typer.Argument(metavar="TITLE", help="The new title.")]) -> None:
    """Give a session a title."""
    from hermes_cli.store.sessions.names import find_to_change
    from hermes_cli.store.sessions.writer import Transcript

    saved = _read_file(find_to_change(name))
    before = saved.path.stat()
    try:
        transcript = Transcript.reopen(saved)
    except SessionBusy as problem:
        raise SessionBusy(problem.message, "if it is open in a chat, name it there: /title TEXT") from problem
    try:
        transcript.set_title(" ".join(title))
    finally:
        transcript.close()
    # A new name is no use of the session: `hermes chat -c` still means the one that was chatted in last.
    os.utime(saved.path, ns=(before.st_atime_ns, before.st_mtime_ns))


@app.command("rm")
def remove(names: Annotated[list[str], typer.Argument(metavar="ID...", help=_NAME_HELP)], yes: Yes = False) -> int:
    """Remove sessions for good."""
    from hermes_cli.files import in_use
    from hermes_cli.store.sessions.names import find_to_change
    from hermes_cli.store.sessions.reader import read_session

    files = list(dict.fromkeys(map(find_to_change, names)))
    for path in files:
        if in_use(path):
            raise SessionBusy(f"the session {path.stem} is open in another program", "close it there first")
    without_asking = "hermes sessions rm --yes " + " ".join(path.stem for path in files)
    _need_somebody(yes, without_asking)
    for path in () if yes else files:
        try:
            title = read_session(path).title
        except HermesError as problem:
            title = problem.message
        console.notice(f"{path.stem}  {title}")
    return _remove(files, yes)


@app.command("prune")
def prune(
    older_than: Annotated[str | None, typer.Option(metavar="AGE", help="Not used for this long: 12h, 30d, 1y.")] = None,
    larger_than: Annotated[str | None, typer.Option(metavar="SIZE", help="With a larger file: 10MB.")] = None,
    keep_under: Annotated[
        str | None, typer.Option(metavar="SIZE", help="The longest unused ones, until the rest takes less: 500MB.")
    ] = None,
    yes: Yes = False,
) -> int:
    """Remove old or large sessions: those that any of the limits names. Lists them first, then asks."""
    from hermes_cli.files import in_use
    from hermes_cli.store.sessions.index import all_sessions

    if not (older_than or larger_than or keep_under):
        raise UsageError("prune needs a limit", "give one: hermes sessions prune --older-than 30d")
    named = session_list.beyond(all_sessions(), older_than, larger_than, keep_under)
    unwanted = [session for session in named if not in_use(session.path)]
    if len(unwanted) < len(named):
        console.notice(f"{len(named) - len(unwanted)} left out: open in another program")
    if not unwanted:
        console.notice("there is nothing to remove")
        return 0
    on_terminal = console.is_terminal(sys.stdout)
    _write(session_list.table(unwanted) if on_terminal else session_list.tab_separated(unwanted))
    _need_somebody(yes, "hermes sessions prune --yes and the same limits")
    return _remove([session.path for session in unwanted], yes)


@app.command("export")
def export(
    name: NameOrLatest = None,
    form: Annotated[
        Format | None, typer.Option("--format", "-f", help="How. [default: by the name after -o, else md]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All sessions, one line each: sharegpt, openai.")] = False,
) -> None:
    """Write a session as Markdown, JSON, one HTML page, or JSON lines for fine-tuning."""
    from hermes_cli.store.sessions.export import FOR_TRAINING, FORMATS, form_by_name

    ending = output.suffix.lower().removeprefix(".") if output else ""
    if form is None and ending == "jsonl":
        raise UsageError("two formats are JSON lines", "name one: --format sharegpt or --format openai")
    chosen = form or (form_by_name(output) if output and ending else "md")
    if everything and (name or chosen not in FOR_TRAINING):
        raise UsageError("--all goes with --format sharegpt or openai, and without an id", "hermes sessions export -h")
    sessions = [] if everything else [_read(name)]
    target: AnswerOutput = StandardOutput() if output in (None, STANDARD_OUTPUT) else FileOutput(output)
    try:
        if everything:
            _export_all(chosen, target)
        else:
            target.write(FORMATS[chosen](sessions[0]))
            target.finish()
    except BaseException:
        target.discard()
        raise


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON or JSON lines of another program; - for stdin.")],
) -> None:
    """Import conversations as sessions and print their ids.

    Reads ShareGPT, OpenAI and LLaMA-Factory data sets, and chats of Ollama, LM Studio, Open WebUI and ChatGPT.
    """
    from hermes_cli.store.sessions.importing import import_sessions

    files, left_out = import_sessions(file)
    _write("".join(f"{path.stem}\n" for path in files))
    if left_out:
        console.notice("left out: " + ", ".join(f"{name} ({count:,})" for name, count in sorted(left_out.items())))


@app.command("path")
def folder() -> None:
    """Print the folder of the sessions."""
    _write(f"{paths.sessions_folder()}\n")


def _read(name: str | None) -> "SavedSession":
    """The session of that name, else the last used; what is damaged in it is told."""
    from hermes_cli.store.sessions.files import latest_session
    from hermes_cli.store.sessions.names import find_session

    path = find_session(name) if name is not None else latest_session()
    if path is None:
        raise UsageError("there are no saved sessions", "start one: hermes chat")
    return _read_file(path)


def _read_file(path: Path) -> "SavedSession":
    from hermes_cli.store.sessions.reader import read_session

    saved = read_session(path)
    for notice in saved.notices:
        console.notice(notice)
    return saved


def _first(sessions: list["SessionSummary"], count: int | None, for_programs: bool = False) -> list["SessionSummary"]:
    """As many as are wanted; where nothing is said, what fits on a screen, but all for a program."""
    if count is None and not for_programs and console.is_terminal(sys.stdout):
        count = _SHOWN
    return sessions[:count] if count else sessions


def _tell_rest(sessions: Sequence[object], shown: Sequence[object], for_programs: bool = False) -> None:
    """On a terminal, say that there are more than are shown, or none at all."""
    if for_programs or not console.is_terminal(sys.stdout):
        return
    if len(shown) < len(sessions):
        console.notice(f"{len(sessions) - len(shown):,} more; -n 0 shows all")
    elif not sessions:
        console.notice("no sessions")


def _readable(saved: "SavedSession", *, everything: bool) -> str:
    """The current branch as a text, or all turns in the order they were written."""
    model = f" · {saved.model}" if saved.model else ""
    parts = [f"{saved.title}\n{saved.id} · {saved.created.astimezone():%Y-%m-%d %H:%M}{model}"]
    if saved.conversation.system_prompt:
        parts.append(_marked("system: ", saved.conversation.system_prompt))
    marks = {"user": "> ", "system": "system: ", "tool": "tool: ", "assistant": ""}
    current = {turn.id for turn in saved.conversation.turns}
    for turn in [record.turn for record in saved.turns.values()] if everything else saved.conversation.turns:
        parts += [] if turn.id in current else ["[undone or regenerated]"]
        parts += [_marked(marks[message.role], message.content) for message in turn.messages]
        if turn.answer.finish_reason == "cancelled":
            parts.append("[stopped]")
    return "\n\n".join(parts) + "\n"


def _marked(mark: str, text: str) -> str:
    return "\n".join(f"{mark}{line}" for line in text.split("\n")) if mark == "> " else f"{mark}{text}"


def _need_somebody(yes: bool, without_asking: str) -> None:
    if not yes:
        check_somebody_is_here(f"remove without asking: {without_asking}")


def _remove(files: Sequence[Path], yes: bool) -> int:
    """Ask and remove; 1 if the user does not want to, or something stays."""
    from hermes_cli.engine.cache.kv_store import trim
    from hermes_cli.files import in_use
    from hermes_cli.store.sessions.files import remove_session
    from hermes_cli.store.sessions.index import all_sessions

    what = f"the session {one_line(files[0].stem)}" if len(files) == 1 else f"these {len(files)} sessions"
    if not yes and not agreed(f"Remove {what} for good?"):
        return 1
    busy = [path for path in files if in_use(path)]  # opened while the question was on the screen
    for path in files:
        if path in busy:
            console.notice(f"{path.stem} stays: open in another program")
        else:
            remove_session(path)
    # What was read of them may lie there too; it is only a cache.
    trim(paths.kv_folder(), 0)
    all_sessions()  # the index forgets what was said in them
    return 1 if busy else 0


def _export_all(form: str, target: AnswerOutput) -> None:
    """Every session that says something as a line, the oldest first."""
    from hermes_cli.store.sessions.export import FORMATS
    from hermes_cli.store.sessions.index import all_sessions
    from hermes_cli.store.sessions.reader import read_session

    separator = ""
    for summary in reversed(all_sessions()):
        try:
            saved = read_session(summary.path)
        except HermesError as problem:
            console.notice(f"left out: {problem.message}")
            continue
        if saved.conversation.turns:
            target.write(separator + FORMATS[form](saved))
            separator = "\n"
    target.finish()


def _write(text: str) -> None:
    """To stdout as it is, or made harmless for a terminal."""
    StandardOutput().write(text)
