"""The Typer application: a command is imported when it is named, so that `ask` does not pay for the other commands."""

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from hermes_cli import __version__
from hermes_cli.cli.commands import COMMANDS, UNLISTED
from hermes_cli.cli.help.overview import SUMMARY, VERSION_HELP, overview
from hermes_cli.cli.help.page import refuse_empty_values


class _Commands(TyperGroup):
    """The commands of the table, and the overview as their help."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The named command, imported now; for an unknown name all are, and Typer suggests the nearest."""
        for name in [cmd_name] if cmd_name in COMMANDS | UNLISTED else COMMANDS:
            if name not in self.commands:
                self.add_command(command(name), name)
        return self.commands.get(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the overview; without further options it is printed before Typer is imported."""
        formatter.write(overview(ctx.command_path))


app = typer.Typer(
    name="hermes",
    cls=_Commands,
    help=SUMMARY,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(name: str) -> Any:
    """The Typer command or group of this name, from its module."""
    found = import_module(f"hermes_cli.cli.{(COMMANDS | UNLISTED)[name][0]}").app
    refuse_empty_values(found)
    return get_command(found)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hermes {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help=VERSION_HELP)
    ] = False,
) -> None:
    pass


def known_command(words: Sequence[str]) -> str:
    """The command in `words` with a leading space, such as ` tools run`; empty if there is none."""
    for place, word in enumerate(words):
        if word in COMMANDS:
            members = getattr(command(word), "commands", {})
            return f" {word}" + next((f" {under}" for under in words[place + 1 :] if under in members), "")
    return ""
