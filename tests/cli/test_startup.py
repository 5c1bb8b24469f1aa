"""What asking for help costs: nothing heavy is imported for it."""

import json
import subprocess
import sys

from typer.main import get_command

from hermes_cli import __version__
from hermes_cli.cli.app import app, command
from hermes_cli.cli.commands import COMMANDS as TABLE
from hermes_cli.cli.overview import OPTIONS
from tests.conftest import Hermes, child_environment

HEAVY = {"llama_cpp", "pydantic", "rich", "prompt_toolkit", "jinja2", "psutil", "numpy", "platformdirs", "httpx"}
COMMANDS = [["--version"], ["--help"], ["ask", "--help"], ["chat", "--help"], ["doctor", "--help"]]
WITH_OPTIONS = ["sessions", "list", "-n", "3"]
BEFORE_THE_PROMPT = ("cli.chat", "cli.opening", "terminal.chat.repl", "terminal.prompt.line_editor")


def loaded_after(*commands: list[str]) -> set[str]:
    """The modules in a process that ran these commands one after another."""
    program = (
        "import json, sys; from hermes_cli.cli.main import main\n"
        f"codes = [main(arguments) for arguments in {commands!r}]\n"
        "assert not any(codes), codes; json.dump(list(sys.modules), sys.stderr)"
    )
    child = subprocess.run(
        [sys.executable, "-P", "-c", program], env=child_environment(), capture_output=True, check=True, timeout=60
    )
    return set(json.loads(child.stderr))


def test_help_imports_neither_the_engine_nor_anything_heavy() -> None:
    loaded = loaded_after(*COMMANDS, WITH_OPTIONS)
    assert loaded & HEAVY == set()
    assert [name for name in loaded if name.startswith("hermes_cli.engine")] == []
    assert "hermes_cli.cli.ask" in loaded


def test_a_chat_shows_its_prompt_before_the_engine_is_imported() -> None:
    program = f"import sys, hermes_cli.{', hermes_cli.'.join(BEFORE_THE_PROMPT)}; print(*sys.modules)"
    loaded = (
        subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, check=True).stdout.decode().split()
    )
    assert {"hermes_cli.engine.local", "hermes_cli.tools.toolbox", "rich", "llama_cpp"} & {*loaded} == set()


def test_version_and_overview_are_printed_without_typer_and_without_the_commands() -> None:
    for arguments in (["--version"], ["--help"], ["-h"], ["help"]):
        loaded = loaded_after(arguments)
        assert loaded & {"typer", "inspect", "dataclasses", "typing"} == set()
        assert len([name for name in loaded if name.startswith("hermes_cli.")]) <= 10


def test_a_command_imports_no_other_command() -> None:
    loaded = loaded_after(["sessions", "list"])
    others = {f"hermes_cli.cli.{module}" for name, (module, _) in TABLE.items() if name != "sessions"}
    assert loaded & others == set()


def test_the_overview_says_what_the_commands_and_options_say_of_themselves() -> None:
    for name, (_, line) in TABLE.items():
        assert (command(name).help or "").startswith(line)
    given = [(", ".join(option.opts), getattr(option, "help", None)) for option in get_command(app).params]
    assert [(name, help.rstrip(".")) for name, help in OPTIONS[:-1]] == [
        (name, (help or "").rstrip(".")) for name, help in given
    ]


def test_version_and_help_say_what_they_should(hermes: Hermes) -> None:
    assert hermes("--version").out.decode() == f"hermes {__version__}\n"
    overview = hermes("--help").out.decode()
    assert all(f"\n  {command} " in overview for command in ("ask", "chat", "doctor"))
    assert hermes("-h").out.decode() == overview
    for arguments in COMMANDS[2:]:
        shown = hermes(*arguments).out.decode()
        assert shown.startswith(f"Usage: hermes {arguments[0]} ")
        assert max(map(len, shown.splitlines())) <= 80
