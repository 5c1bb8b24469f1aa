"""The commands of a chat: one table for dispatch, help and completion."""

import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.terminal import console
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands import (
    branches,
    completions,
    context,
    files,
    mcp,
    sessions,
    settings,
    tools,
    turns,
)
from hermes_cli.terminal.columns import terminal_columns, wrapped
from hermes_cli.terminal.prompt.prompt_input import Suggestion

SLASH, BANG = "/", "!"
_KEYS = (
    "",
    'Enter sends; Alt-Enter, Ctrl-J, a \\ at the end, or """ starts a new line.',
    "Ctrl-C stops an answer and keeps its text; Ctrl-D exits.",
    "Ctrl-R searches the history; Ctrl-X Ctrl-E opens your editor.",
    "Alt-Left and Alt-Right switch between answers, at an empty prompt.",
    "Commands can be abbreviated, as in /ret; /help NAME explains one.",
    "!COMMAND runs a shell command and attaches its output, like /run.",
    "@FILE in place of TEXT reads the text from the file.",
    "Start with // or !! to send a message that begins with / or !.",
)
Run = Callable[[Chat, str], None]
Complete = Callable[[Chat, str], completions.Words]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name, its function, the name of its argument, its completions and its hidden names."""

    name: str
    run: Run
    argument: str = ""
    complete: Complete | None = None
    other_names: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        """Its help on one line."""
        return self._help_lines[0]

    @property
    def more(self) -> list[str]:
        """The further lines of its help."""
        return [line for line in self._help_lines[1:] if line]

    @property
    def _help_lines(self) -> list[str]:
        return inspect.cleandoc(self.run.__doc__ or "").split("\n")


def print_help(chat: Chat, argument: str) -> None:
    """List the commands, or explain one."""
    shown = [named(argument.removeprefix(SLASH))] if argument else list(TABLE)
    usages = [f"/{command.name} {command.argument}".rstrip() for command in shown]
    console.table([(usage, one.help) for usage, one in zip(usages, shown, strict=True)], order=(0,), elastic=1)
    more = shown[0].more if argument else _KEYS
    lines = [part for line in more for part in wrapped(line, terminal_columns(sys.stderr))]
    if lines:
        console.lines("\n".join(lines))


def _names(chat: Chat, typed: str) -> completions.Words:
    return ((command.name, command.help) for command in TABLE)


TABLE = (
    Command("help", print_help, "[COMMAND]", _names, ("?",)),
    Command("exit", turns.leave, other_names=("bye", "quit")),
    Command("retry", turns.retry, "[KEY=VALUE]", completions.sampling_keys, ("regen", "regenerate")),
    Command("continue", turns.continue_answer),
    Command("prefill", turns.prefill, "[TEXT|-]"),
    Command("edit", branches.edit, "[answer] [N]", completions.edit_forms),
    Command("undo", turns.undo, "[N]"),
    Command("redo", turns.redo, "[N]"),
    Command("prev", branches.previous, "[N]"),
    Command("next", branches.next_version, "[N]"),
    Command("tree", branches.tree, "[N]"),
    Command("fork", sessions.fork, "[N] [TITLE]"),
    Command("new", turns.new, other_names=("clear",)),
    Command("last", branches.last, "[N]"),
    Command("history", branches.history, "[N]"),
    Command("system", settings.system, "[TEXT|-]"),
    Command("preset", settings.preset, "[NAME [K=V]|-]", completions.presets),
    Command("set", settings.set_value, "[KEY VALUE]", completions.setting_keys),
    Command("show", settings.show),
    Command("model", settings.model, "[NAME|PATH]", completions.models),
    Command("tools", tools.tools, "[FILE|NAME|-]", completions.tools),
    Command("mcp", mcp.mcp, "[NAME on|off]", completions.mcp_servers),
    Command("schema", tools.schema, "[SCHEMA|-]", other_names=("json",)),
    Command("attach", files.attach, "[PATH|URL|-]", completions.files, ("read",)),
    Command("run", files.run, "COMMAND"),
    Command("paste", files.paste),
    Command("copy", files.copy, "[code] [N]", completions.copy_forms),
    Command("context", context.context),
    Command("compact", context.compact, "[keep N]"),
    Command("pin", context.pin, "[N]"),
    Command("hide", context.hide, "[N]", other_names=("forget",)),
    Command("stats", context.stats),
    Command("prompt", context.prompt),
    Command("sessions", sessions.list_sessions, "[TEXT]"),
    Command("load", sessions.load, "[NAME]", completions.sessions),
    Command("export", sessions.export, "FILE", completions.files, ("save",)),
    Command("title", sessions.title, "[TEXT]"),
)


def parse(line: str) -> tuple[Command, str] | str:
    """A command with its argument, or the text to send. Raises UsageError for an unknown command.

    `//` at the start stands for a text that begins with one slash; a path is text, unless it looks like a command.
    """
    if not line.startswith(SLASH) or not line[1:].strip():
        return line
    if line.startswith(SLASH * 2):
        return line[1:]
    first, *rest = line.split(maxsplit=1)
    if SLASH in first[1:]:
        return line
    try:
        command = named(first[1:])
    except UsageError:
        if os.path.exists(first):  # noqa: PTH110 - pathlib raises for names that are too long
            return line
        raise
    argument = rest[0].strip() if rest else ""
    if argument and not command.argument:
        raise UsageError(f"/{command.name} takes no argument", "start with // to send the line as text")
    return command, argument


def named(name: str) -> Command:
    """The command of that name or unique abbreviation. Raises UsageError."""
    word = name.lower()
    for command in TABLE:
        if word in (command.name, *command.other_names):
            return command
    found = [command for command in TABLE if command.name.startswith(word)]
    found = found or [command for command in TABLE if any(name.startswith(word) for name in command.other_names)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"/{name} could be {' or '.join(f'/{command.name}' for command in found)}", "type more letters"
        )
    nearest = did_you_mean(word, [command.name for command in TABLE], "/help lists them;")
    raise UsageError(f"there is no command /{name}", f"{nearest.replace('mean ', 'mean /')} // sends it as text")


def suggestions(chat: Chat, before: str) -> Iterable[Suggestion]:
    """Completions of the line up to the cursor."""
    if not before.startswith(SLASH) or "\n" in before:
        return
    name, space, typed = before[1:].partition(" ")
    if not space:
        for command in TABLE:
            if command.name.startswith(name.lower()):
                yield Suggestion(f"/{command.name}{' ' if command.argument else ''}", len(before), command.help)
        return
    try:
        command = named(name)
    except UsageError:
        return
    for text, note in command.complete(chat, typed) if command.complete else ():
        word = typed.rpartition(" ")[2]
        if text.startswith(word):
            yield Suggestion(text, len(word), note)
