"""The page of `hermes --help`: written from the table of commands, so that none of them, nor Typer, is imported."""

import os
import sys

from hermes_cli.cli.commands import COMMANDS
from hermes_cli.terminal.columns import table, wrapped

SUMMARY = "Chat with Hermes 3 in your terminal, on your own machine."
VERSION_HELP = "Show the version and exit."
_DEFAULT = "Without a command, `hermes` starts a chat; with piped input it answers like `hermes ask`."
OPTIONS = (
    ("--version", VERSION_HELP),
    ("--install-completion", "Install completion for the current shell."),
    ("--show-completion", "Show completion for the current shell, to copy it or customize the installation."),
    ("-h, --help", "Show this message and exit."),
)
_WIDEST, _NARROWEST = 78, 50


def overview(program: str) -> str:
    """The page for the width of the terminal; `program` is the name it was started by."""
    columns = _columns() - 2
    parts = (
        f"Usage: {program} [OPTIONS] COMMAND [ARGS]...\n",
        _indented("\n".join(wrapped(SUMMARY, columns))),
        "Options:\n" + _indented(table(OPTIONS, columns, order=(0,), elastic=1)),
        "Commands:\n"
        + _indented(table([(name, line) for name, (_, line) in COMMANDS.items()], columns, order=(0,), elastic=1)),
        _indented("\n".join(wrapped(_DEFAULT, columns))),
    )
    return "\n".join(parts)


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def _columns() -> int:
    """As many as the terminal has, within limits; COLUMNS overrides it."""
    try:
        columns = int(os.environ.get("COLUMNS", "")) or _WIDEST
    except ValueError:
        try:
            columns = os.get_terminal_size(sys.stdout.fileno()).columns - 2
        except (AttributeError, OSError, ValueError):
            columns = _WIDEST
    return max(min(columns, _WIDEST), _NARROWEST)
