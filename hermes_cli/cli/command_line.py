"""Run Typer on the command line: add the default command, and turn Typer's errors into ours, with a hint."""

import re
import shlex
import sys
from collections.abc import Sequence

import typer

from hermes_cli.cli.app import app, known_command
from hermes_cli.cli.app import command as typer_command
from hermes_cli.errors import EXIT_INTERRUPTED, UsageError, did_you_mean
from hermes_cli.terminal import console

_FIRST_COMMANDS = "ask a question: hermes ask; start a chat: hermes chat; list all commands: hermes --help"

_NO_COMMAND = re.compile("No such command '(.*?)'")
_OWN_OPTIONS = ("--help", "--version", "--install-completion", "--show-completion")

# Options of llama-cli, ollama and llm, and their equivalents.
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
    "--system-prompt": "--system",
    "--attachment": "--file",
    "--tool": "--tools",
    "--cid": "--session",
}
# Options of llama-cli with one dash would be read as several short ones: -hf as -h.
_LONG_WITH_ONE_DASH = {
    "-ngl": "did you mean --gpu-layers?",
    "-sys": "did you mean --system?",
    "-ctk": "did you mean --kv-type?",
    "-hf": "download the model first: hermes pull hf:OWNER/REPOSITORY:QUANT",
    "-hfr": "download the model first: hermes pull hf:OWNER/REPOSITORY:QUANT",
    "-cnv": "for a conversation: hermes chat",
    "-no-cnv": "for one answer: hermes ask",
}
# Commands of ollama and llm, and their equivalents.
_COMMANDS_ELSEWHERE = {
    "run": "chat -m NAME",
    "cp": "models alias",
    "aliases": "models alias",
    "templates": "presets",
    "plugins": "tools",
    "install": "pull",
    "prompt": "ask",
    "list": "models",
    "ls": "models",
    "ps": "doctor",
    "show": "models inspect",
    "rm": "models rm",
    "get": "pull",
    "download": "pull",
    "create": "presets new",
    "logs": "sessions",
    "history": "sessions",
    "settings": "config",
    "benchmark": "bench",
}
_IN_MODELS_ELSEWHERE = {"pull": "pull", "download": "pull", "default": "config set model"}
_IN_GROUPS_ELSEWHERE = {"ls": "list", "delete": "rm", "remove": "rm", "create": "new", "cat": "show", "info": "show"}


def run(given: list[str], program: str) -> int:
    """Run the command and return its exit code; `program` is the name it was started by. Raises UsageError."""
    _refuse_one_dash(given)
    try:
        given = _with_command(given)
        return app(given, prog_name=program, standalone_mode=False) or 0
    except typer.TyperException as problem:
        raise _command_line_error(problem, given, known_command(given)) from problem
    except typer.Abort:
        return EXIT_INTERRUPTED
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None  # Typer turns it into exit code 1
        raise


def _command_line_error(problem: typer.TyperException, given: Sequence[str], command: str) -> UsageError:
    """What Typer found wrong with the command line, with a hint that helps."""
    help_hint = f"see the options: hermes{command} --help" if command else _FIRST_COMMANDS
    if option := getattr(problem, "option_name", None):
        context = getattr(problem, "ctx", None)
        known = [name for part in context.command.params for name in part.opts] if context else []
        ours = _OPTIONS_ELSEWHERE.get(option)
        if command in ("", " chat") and any(option in part.opts for part in typer_command("ask").params):
            return UsageError(f"no such option: {option}", f"{option} is an option of hermes ask")
        hint = f"did you mean {ours}?" if ours in known else did_you_mean(option, known, help_hint)
        return UsageError(f"no such option: {option}", hint)
    message = problem.format_message().rstrip(".")
    if unknown := _NO_COMMAND.match(message):
        return _no_command(unknown[1], given, problem, help_hint)
    if "'-t'" in message:
        return UsageError(message, "-t is the temperature; to use a preset: -p NAME")
    if command in (" chat", " ask") and "-c" in given and (number := next(filter(str.isdecimal, given), None)):
        return UsageError(message, f"-c continues the last session; the context length is --ctx {number}")
    return UsageError(message, help_hint)


def _no_command(name: str, given: Sequence[str], problem: typer.TyperException, otherwise: str) -> UsageError:
    """The error for an unknown command, with a similar or equivalent one as the hint."""
    context = getattr(problem, "ctx", None)
    known = list(getattr(context.command, "commands", ())) if context else []
    if "ask" in known and name in _COMMANDS_ELSEWHERE:
        hint = f"did you mean hermes {_run_elsewhere(given) or _COMMANDS_ELSEWHERE[name]}?"
    elif "inspect" in known and name in _IN_MODELS_ELSEWHERE:
        hint = f"did you mean hermes {_IN_MODELS_ELSEWHERE[name]}?"
    elif (meant := _IN_GROUPS_ELSEWHERE.get(name)) in known:
        hint = f"did you mean {meant}?"
    else:
        # Short words are similar by chance: cp is not mcp.
        hint = did_you_mean(name, [one for one in known if one[:1] == name[:1]], otherwise)
    return UsageError(f"no such command: {name}", hint)


def _run_elsewhere(given: Sequence[str]) -> str:
    """The equivalent of `ollama run MODEL [PROMPT]`; empty without a model."""
    match given:
        case ["run", model, *prompt] if not model.startswith("-"):
            return shlex.join(("ask" if prompt else "chat", "-m", model, *prompt))
    return ""


def _refuse_one_dash(given: Sequence[str]) -> None:
    """Raise UsageError for a long option of llama-cli with one dash."""
    for word in given[: given.index("--") if "--" in given else None]:
        if hint := _LONG_WITH_ONE_DASH.get(word):
            raise UsageError(f"no such option: {word}", hint)


def _with_command(given: list[str]) -> list[str]:
    """The command line with the default command added to options of a chat, or to text with spaces."""
    if not given:
        return [_default_command()]
    first, *rest = given
    if first in ("help", "version"):
        return [*rest, "--help"] if first == "help" else ["--version", *rest]
    is_option = first.startswith("-") and not first.startswith(_OWN_OPTIONS) and first not in ("-h", "-")
    if is_option or " " in first.strip():
        return [_default_command(), *given]
    return given


def _default_command() -> str:
    return "chat" if console.is_terminal(sys.stdin) else "ask"
