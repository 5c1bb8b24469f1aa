"""`hermes sessions`: list, show, search, rename, remove, export and import saved sessions."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hermes_cli import paths
from hermes_cli.cli import completion
from hermes_cli.cli.lists import session_list, session_text, stdout
from hermes_cli.cli.options import options
from hermes_cli.cli.sessions import removal
from hermes_cli.errors import HermesError, SessionBusy, UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import STANDARD_OUTPUT, AnswerOutput, FileOutput, StandardOutput
from hermes_cli.terminal.columns import terminal_columns
from hermes_cli.terminal.sanitize import for_terminal, one_line

if TYPE_CHECKING:
    from hermes_cli.store.sessions.index import SessionSummary
    from hermes_cli.store.sessions.reader import SavedSession

app = typer.Typer(
    help="List, search, export, import and remove saved sessions.",
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
)
_OTHER_ROWS = 3  # the header, the count of other sessions, the shell's prompt
_NAME_HELP = "Session id, or its beginning or last part; title; or file."
Name = Annotated[str, typer.Argument(metavar="ID", autocompletion=completion.sessions, help=_NAME_HELP)]
NameOrLatest = Annotated[
    str | None,
    typer.Argument(metavar="[ID]", autocompletion=completion.sessions, help=f"{_NAME_HELP} [default: the most recent]"),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "-n",
        metavar="N",
        callback=options.within("-n", 0, 1e9),
        help="Show at most N (0 = all). [default: one screen, on a terminal]",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON list.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Format = Literal["md", "json", "html", "sharegpt", "openai"]


@app.callback()
def _alone(context: typer.Context, count: Limit = None, json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_sessions(count, json)
    elif json or count is not None:
        raise UsageError(
            "-n and --json must come after the command",
            f"for example: hermes sessions {context.invoked_subcommand} --help",
        )


@app.command("list")
def list_sessions(count: Limit = None, json: AsJson = False) -> None:
    """List sessions, most recent first.

    In a pipe, the columns are id, time of the last use, turns, size, model and title.
    """
    from hermes_cli.store.sessions.files import folder_problem
    from hermes_cli.store.sessions.index import all_sessions

    if problem := folder_problem():
        console.notice(f"{problem.message}; {problem.hint}")
    sessions = all_sessions()
    shown = _first(sessions, count, json)
    if json:
        session_list.print_json(shown)
    else:
        session_list.print_sessions(shown)
    _print_rest(sessions, shown, json)


@app.command("show")
def show(
    name: NameOrLatest = None,
    everything: Annotated[bool, typer.Option("--all", help="Include undone and regenerated turns.")] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Print one line per turn, with all branches.")] = False,
) -> None:
    """Print a session; your messages are marked with >."""
    if tree:
        from hermes_cli.terminal.chat.branch_view import tree_lines

        saved = _read(name)
        current = {turn.id for turn in saved.conversation.turns}
        lines = tree_lines(saved.tree, current, terminal_columns(sys.stdout) - 1)
        stdout.write("".join(f"{for_terminal(line)}\n" for line in lines))
        return
    stdout.write(session_text.readable(_read(name), everything=everything))


@app.command("search")
def search(
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="Text to find; case does not matter.")],
    count: Limit = None,
) -> int:
    """Find sessions by their text.

    Undone and regenerated turns are searched too. Exits 1 if nothing is found.
    """
    from hermes_cli.store.sessions.index import excerpt, search_sessions

    wanted = " ".join(text)
    if not wanted.strip():
        raise UsageError("the search text is empty", "for example: hermes sessions search llama")
    sessions = search_sessions(wanted)
    shown, on_terminal = _first(sessions, count, rows_each=2), console.is_terminal(sys.stdout)
    for session in shown:
        place = excerpt(session.path, wanted)
        if on_terminal:
            stdout.write(
                f"{session.id}  {session.used:%Y-%m-%d %H:%M}  {one_line(session.title)}\n    {one_line(place)}\n"
            )
        else:
            stdout.write(f"{session.id}\t{' '.join(session.title.split())}\t{place}\n")
    _print_rest(sessions, shown)
    return 0 if sessions else 1


@app.command("rename")
def rename(name: Name, title: Annotated[list[str], typer.Argument(metavar="TITLE", help="The new title.")]) -> None:
    """Set the title of a session."""
    from hermes_cli.store.sessions.names import find_to_change
    from hermes_cli.store.sessions.writer import Transcript

    saved = _read_file(find_to_change(name))
    before = saved.path.stat()
    try:
        transcript = Transcript.reopen(saved)
    except SessionBusy as problem:
        raise SessionBusy(problem.message, "if it is open in a chat, use /title TEXT there") from problem
    try:
        transcript.set_title(" ".join(title))
    finally:
        transcript.close()
    # A new title does not count as use: `hermes chat -c` resumes the session that was chatted in last.
    os.utime(saved.path, ns=(before.st_atime_ns, before.st_mtime_ns))


@app.command("rm")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="ID...", autocompletion=completion.sessions, help=_NAME_HELP)],
    yes: Yes = False,
) -> int:
    """Remove sessions permanently."""
    return removal.remove(names, yes)


@app.command("prune")
def prune(
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Remove sessions not used for AGE, e.g. 12h, 30d or 1y.")
    ] = None,
    larger_than: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Remove sessions larger than SIZE, e.g. 10MB.")
    ] = None,
    keep_under: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Remove the least recently used sessions until the rest fit in SIZE, e.g. 500MB."
        ),
    ] = None,
    yes: Yes = False,
) -> int:
    """Remove old or large sessions.

    Removes every session that matches any of the options, except the newest. Lists them and asks first.
    """
    return removal.prune(older_than, larger_than, keep_under, yes)


@app.command("export")
def export(
    name: NameOrLatest = None,
    form: Annotated[
        Format | None, typer.Option("--format", "-f", help="Output format. [default: by the suffix of -o, else md]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE.")] = None,
    turn: Annotated[
        int | None,
        typer.Option("--turn", metavar="N", help="Export the branch that ends with turn N (see `show --tree`)."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Export all sessions, one per line; requires --format sharegpt or openai.")
    ] = False,
) -> None:
    """Export a session as Markdown, JSON, HTML or training data."""
    from hermes_cli.store.sessions.export import FOR_TRAINING, FORMATS, form_by_name

    ending = output.suffix.lower().removeprefix(".") if output else ""
    if form is None and ending == "jsonl":
        raise UsageError(".jsonl can be sharegpt or openai", "choose one: --format sharegpt or --format openai")
    chosen = form or (form_by_name(output) if output and ending else "md")
    if everything and (name or turn is not None or chosen not in FOR_TRAINING):
        raise UsageError(
            "--all needs --format sharegpt or openai, and no id or turn", "see: hermes sessions export --help"
        )
    sessions = [] if everything else [_read(name)]
    if turn is not None:
        sessions = [session.at_turn(turn) for session in sessions]
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

    Reads ShareGPT, OpenAI and LLaMA-Factory data sets, and chats of Ollama, LM Studio, Open WebUI, ChatGPT and
    Claude.
    """
    from hermes_cli.store.sessions.importing import import_sessions

    files, left_out = import_sessions(file)
    stdout.write("".join(f"{path.stem}\n" for path in files))
    if left_out:
        console.notice("left out: " + ", ".join(f"{name} ({count:,})" for name, count in sorted(left_out.items())))


@app.command("path")
def folder() -> None:
    """Print the folder of the saved sessions."""
    stdout.write(f"{paths.sessions_folder()}\n")


def _read(name: str | None) -> "SavedSession":
    """The named session, else the last used; prints a notice about damage."""
    from hermes_cli.store.sessions.files import latest_session
    from hermes_cli.store.sessions.names import find_session

    path = find_session(name) if name is not None else latest_session()
    if path is None:
        raise UsageError("there are no saved sessions", "start one: hermes chat")
    return _read_file(path)


def _read_file(path: Path) -> "SavedSession":
    from hermes_cli.store.sessions.reader import read_session

    saved = read_session(path)
    console.notice(*saved.notices)
    return saved


def _first(
    sessions: list["SessionSummary"], count: int | None, for_programs: bool = False, rows_each: int = 1
) -> list["SessionSummary"]:
    """The first `count`; by default as many as fit a screen, or all for a program."""
    if count is None and not for_programs and console.is_terminal(sys.stdout):
        count = console.items_that_fit(_OTHER_ROWS, rows_each)
    return sessions[:count] if count else sessions


def _print_rest(sessions: Sequence[object], shown: Sequence[object], for_programs: bool = False) -> None:
    """On a terminal, say how many more there are, or that there are none."""
    if for_programs or not console.is_terminal(sys.stdout):
        return
    if len(shown) < len(sessions):
        console.notice(f"{len(sessions) - len(shown):,} more; -n 0 shows all")
    elif not sessions:
        console.notice("no sessions")


def _export_all(form: str, target: AnswerOutput) -> None:
    """Every session with turns as a line, oldest first."""
    from hermes_cli.store.sessions.export import FORMATS
    from hermes_cli.store.sessions.index import all_sessions
    from hermes_cli.store.sessions.reader import read_session

    separator = ""
    for summary in reversed(all_sessions()):
        try:
            saved = read_session(summary.path)
        except HermesError as problem:
            console.notice(f"skipped: {problem.message}")
            continue
        if saved.conversation.turns:
            target.write(separator + FORMATS[form](saved))
            separator = "\n"
    target.finish()
