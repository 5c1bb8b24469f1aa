"""The program: `main(argv)` runs a command and turns every error into one line, one hint and an exit code."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hermes_cli import __version__
from hermes_cli.errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, HermesError, OutputError, UsageError, did_you_mean
from hermes_cli.terminal import console

if TYPE_CHECKING:
    from typer import TyperException

_FIRST_COMMANDS = "ask a question: hermes ask; start a chat: hermes chat; see all commands: hermes --help"

_OWN_OPTIONS = ("--help", "--version", "--install-completion", "--show-completion")

# Options of llama-cli, ollama and llm, and what they are called here.
_OPTIONS_ELSEWHERE = {
    "--temp": "--temperature",
    "--ctx-size": "--ctx",
    "--num-ctx": "--ctx",
    "--n-predict": "--max-tokens",
    "--predict": "--max-tokens",
    "--num-predict": "--max-tokens",
    "--n-gpu-layers": "--gpu-layers",
    "--repetition-penalty": "--repeat-penalty",
    "--chat-template-file": "--template",
    "--json-schema": "--schema",
    "--format": "--schema",
    "--system-prompt": "--system",
    "--attachment": "--file",
    "--tool": "--tools",
    "--cid": "--session",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hermes` with `arguments` (default: the process's) and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if os.environ.get("HOME") == "":
        del os.environ["HOME"]  # as for shells: the home folder is that of the account
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
        return _fail(HermesError("out of memory", "give less text, or use a smaller model"))
    except Exception as error:
        return _fail(HermesError(f"{type(error).__name__}: {error}", "this is a bug; HERMES_CLI_DEBUG=1 shows where"))


def _run(given: list[str]) -> int:
    """Run the command and return its exit code; Typer's errors become UsageError."""
    if given == ["--version"]:
        # Before importing Typer, which would take eight times as long: scripts ask for the version often.
        print(f"hermes {__version__}")
        return 0
    import typer

    from hermes_cli.cli.app import app, known_command

    try:
        given = _with_command(given)
        return app(given, prog_name=_program(), standalone_mode=False) or 0
    except typer.TyperException as problem:
        raise _command_line_error(problem, given, known_command(given)) from problem
    except typer.Abort:
        return EXIT_INTERRUPTED
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None  # Typer turns it into exit code 1
        raise


def _command_line_error(problem: "TyperException", given: Sequence[str], command: str) -> UsageError:
    """What Typer found wrong with the command line, with a hint that helps."""
    help_hint = f"see the options: hermes{command} --help" if command else _FIRST_COMMANDS
    if option := getattr(problem, "option_name", None):
        context = getattr(problem, "ctx", None)
        known = [name for part in context.command.params for name in part.opts] if context else []
        ours = _OPTIONS_ELSEWHERE.get(option)
        hint = f"did you mean {ours}?" if ours in known else did_you_mean(option, known, help_hint)
        return UsageError(f"no such option: {option}", hint)
    message = problem.format_message().rstrip(".")
    if command in (" chat", " ask") and "-c" in given and (number := next(filter(str.isdecimal, given), None)):
        return UsageError(message, f"-c continues the last session; the context length is --ctx {number}")
    return UsageError(message, help_hint)


def _with_command(given: list[str]) -> list[str]:
    """The command line with its command: options of a chat, or text with spaces, need none."""
    if not given:
        return [_default_command()]
    first, *rest = given
    if first in ("help", "version"):
        return [*rest, "--help"] if first == "help" else ["--version", *rest]
    is_option = first.startswith("-") and not first.startswith(_OWN_OPTIONS) and first not in ("-h", "-")
    if is_option or " " in first.strip():
        return [_default_command(), *given]
    return given


def _program() -> str:
    """The name this was started by; a shell's completion of `hermes-cli` is found by it."""
    return "hermes-cli" if sys.argv[0].endswith(f"{os.sep}hermes-cli") else "hermes"


def _default_command() -> str:
    return "chat" if console.is_terminal(sys.stdin) else "ask"


def _system_error(error: OSError) -> OutputError:
    """The error of a system call, with the file it was about."""
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
    """Redirect stdout to /dev/null, so that Python's last flush into a closed pipe does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
