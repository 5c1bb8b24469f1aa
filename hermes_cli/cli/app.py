"""The commands of `hermes`, as Typer declares them."""

from collections.abc import Sequence
from typing import Annotated

import typer

from hermes_cli import __version__
from hermes_cli.cli import ask, chat, config, mcp, models, presets, pull, serve, sessions, tools
from hermes_cli.cli.bench import bench
from hermes_cli.cli.doctor import doctor
from hermes_cli.cli.help_page import GroupedCommand
from hermes_cli.cli.trials import test

app = typer.Typer(
    name="hermes",
    help="Chat with Hermes 3 in your terminal, on your own machine.",
    epilog="`hermes` alone starts a chat; with text piped into it, it answers like `hermes ask`.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ask", cls=GroupedCommand, epilog=ask.EXAMPLES)(ask.ask)
app.command("chat", cls=GroupedCommand, epilog=chat.EXAMPLES)(chat.chat)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.command("test")(test.test)
app.command("serve", cls=GroupedCommand, epilog=serve.EXAMPLES)(serve.serve)
app.command("pull")(pull.pull)
app.add_typer(models.app, name="models")
app.add_typer(presets.app, name="presets")
app.add_typer(sessions.app, name="sessions")
app.add_typer(tools.app, name="tools")
app.add_typer(mcp.app, name="mcp")
app.add_typer(config.app, name="config")


def print_version(wanted: bool) -> None:
    """Print the version and exit if `wanted`."""
    if wanted:
        print(f"hermes {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def known_command(words: Sequence[str]) -> str:
    """The command in `words` with a leading space, such as ` tools run`; empty if there is none."""
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    names = {command.name for command in app.registered_commands} | set(groups)
    for place, word in enumerate(words):
        if word in names:
            group = groups.get(word)
            inner = {command.name for command in group.registered_commands} if group else set()
            return f" {word}" + next((f" {under}" for under in words[place + 1 :] if under in inner), "")
    return ""
