"""The program: `main(argv)` runs a command and turns every error into one line, one hint and an exit code."""

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hermes_cli import __version__
from hermes_cli.errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, HermesError, OutputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hermes` with `arguments` (default: the process's) and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if os.environ.get("HOME") == "":
        del os.environ["HOME"]  # like shells: use the home folder of the account
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
        return EXIT_BROKEN_PIPE
    except OSError as error:
        return _fail(_system_error(error))
    except MemoryError:
        return _fail(HermesError("out of memory", "use a shorter prompt, or a smaller model"))
    except Exception as error:
        return _fail(HermesError(f"{type(error).__name__}: {error}", "this is a bug; HERMES_CLI_DEBUG=1 shows where"))


def _run(given: list[str]) -> int:
    """Run the command and return its exit code; the version and the overview are printed without importing Typer."""
    program = "hermes-cli" if sys.argv[0].endswith(f"{os.sep}hermes-cli") else "hermes"
    match given:
        case ["--version"] | ["version"]:
            print(f"hermes {__version__}")
        case ["--help"] | ["-h"] | ["help"]:
            from hermes_cli.cli.help.overview import overview

            print(overview(program), end="")
        case _:
            from hermes_cli.cli.command_line import run

            return run(given, program)
    return 0


def _system_error(error: OSError) -> OutputError:
    """The error of a system call, with the file it was about."""
    why = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        return OutputError(f"cannot write: {why}", "free some space: df -h")
    if isinstance(error.filename, str):
        from hermes_cli.files import check_hint

        return OutputError(f"cannot use {error.filename}: {why}", check_hint(Path(error.filename)))
    return OutputError(f"cannot read or write: {why}", "HERMES_CLI_DEBUG=1 shows where")


def _fail(problem: HermesError) -> int:
    if os.environ.get("HERMES_CLI_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    from hermes_cli.terminal import console

    console.error(problem)
    return problem.exit_code
