"""The program: `main(argv)` runs a command and turns every error into one line, one hint and an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from hermes_cli import __version__
from hermes_cli.cli import ask, chat, doctor
from hermes_cli.errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, HermesError, UsageError
from hermes_cli.terminal import console

app = typer.Typer(
    name="hermes",
    help="Chat with Hermes 3 in your terminal, on your own machine.",
    epilog="`hermes` alone starts a chat; with text piped into it, it answers like `hermes ask`.",
    rich_markup_mode=None,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.command("doctor")(doctor.doctor)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"hermes {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hermes` with `arguments` (default: the process's) and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(given or [_default_command()], prog_name="hermes", standalone_mode=False)
        sys.stdout and sys.stdout.flush()
        return code or 0
    except HermesError as problem:
        return _fail(problem)
    except typer.TyperException as problem:
        command = next((f" {word}" for word in given if not word.startswith("-")), "")
        return _fail(UsageError(problem.format_message().rstrip("."), f"hermes{command} --help"))
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        silence_stdout()
        return EXIT_BROKEN_PIPE
    except Exception as error:
        return _fail(HermesError(f"{type(error).__name__}: {error}", "this is a bug; HERMES_CLI_DEBUG=1 shows where"))


def _default_command() -> str:
    return "chat" if console.is_terminal(sys.stdin) else "ask"


def _fail(problem: HermesError) -> int:
    if os.environ.get("HERMES_CLI_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    console.error(problem)
    return problem.exit_code


def silence_stdout() -> None:
    """Point stdout at nothing, so that Python's last flush into a closed pipe cannot complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
