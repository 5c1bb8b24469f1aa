"""The program: `main(argv)` runs a command and turns every error into one line, one hint and an exit code."""

import errno
import os
import sys
from collections.abc import Sequence

from hermes_cli import __version__
from hermes_cli.errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, HermesError, OutputError, UsageError
from hermes_cli.terminal import console

_FIRST_COMMANDS = "a question: hermes ask; a chat: hermes chat; all commands: hermes --help"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hermes` with `arguments` (default: the process's) and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except HermesError as problem:
        return _fail(problem)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        return _fail(_system_error(error))
    except MemoryError:
        return _fail(HermesError("there is not enough memory for this", "give less text, or a smaller model"))
    except Exception as error:
        return _fail(HermesError(f"{type(error).__name__}: {error}", "this is a bug; HERMES_CLI_DEBUG=1 shows where"))


def _run(given: list[str]) -> int:
    """The command's exit code; Typer's complaints about the command line become UsageError."""
    if given == ["--version"]:
        # Before Typer: scripts ask for the version often, and its import costs eight times this.
        print(f"hermes {__version__}")
        return 0
    import typer

    from hermes_cli.cli.app import app, known_command

    try:
        return app(given or [_default_command()], prog_name="hermes", standalone_mode=False) or 0
    except typer.TyperException as problem:
        command = known_command(given)
        hint = f"hermes{command} --help" if command else _FIRST_COMMANDS
        raise UsageError(problem.format_message().rstrip("."), hint) from problem
    except typer.Abort:
        return EXIT_INTERRUPTED
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None  # Typer makes exit code 1 of it
        raise


def _default_command() -> str:
    return "chat" if console.is_terminal(sys.stdin) else "ask"


def _system_error(error: OSError) -> OutputError:
    """What the system refused, and where."""
    why = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        return OutputError(f"cannot write: {why}", "free some space")
    what = f"cannot use {error.filename}" if error.filename else "cannot read or write"
    return OutputError(f"{what}: {why}", "HERMES_CLI_DEBUG=1 shows where")


def _fail(problem: HermesError) -> int:
    if os.environ.get("HERMES_CLI_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    console.error(problem)
    return problem.exit_code


def _silence_stdout() -> None:
    """Point stdout at nothing, so that Python's last flush into a closed pipe cannot complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
