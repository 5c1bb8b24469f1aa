"""Each command imports only the modules that it uses, because imports decide how fast it starts."""

import json
import subprocess
import sys

from typer.main import get_command

from hermes_cli import __version__
from hermes_cli.cli.app import app, command
from hermes_cli.cli.commands import COMMANDS as TABLE
from hermes_cli.cli.help.overview import OPTIONS
from tests.conftest import Hermes, child_environment
from tests.server.running_server import serving

# What only some answers need: tools, schemas, templates, TLS, the terminal.
FOR_SOME_ANSWERS = {
    "rich",
    "prompt_toolkit",
    "jinja2",
    "psutil",
    "numpy",
    "pydantic",
    "jsonschema",
    "llguidance",
    "yaml",
    "tomlkit",
    "tomllib",
    "huggingface_hub",
    "httpx2",
    "anyio",
    "truststore",
    "markdown_it",
    "secrets",
}
ROOMS_FOR_SOME_ANSWERS = (
    "hermes_cli.tools.approval",
    "hermes_cli.tools.child",
    "hermes_cli.tools.toolbox",
    "hermes_cli.engine.constraint.compiler",
    "hermes_cli.engine.constraint.constraint",
    "hermes_cli.engine.constraint.plans",
    "hermes_cli.terminal.chat",
    "hermes_cli.store.presets",
)
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
    assert "hermes_cli.cli.ask.ask" in loaded


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


def within(loaded: set[str], rooms: tuple[str, ...]) -> list[str]:
    return sorted(name for name in loaded if name.startswith(rooms))


def test_an_answer_of_a_model_here_imports_neither_servers_nor_what_it_does_not_use() -> None:
    loaded = loaded_after(["ask", "-m", "demo", "-t", "0", "What is 2 plus 3?"])
    assert loaded & FOR_SOME_ANSWERS == set()
    others = ("hermes_cli.remote", "hermes_cli.network", "hermes_cli.models.catalog", "hermes_cli.models.library")
    assert within(loaded, (*ROOMS_FOR_SOME_ANSWERS, *others)) == []


def test_an_answer_of_a_server_here_imports_neither_engine_nor_models() -> None:
    with serving() as server:
        loaded = loaded_after(["ask", "--endpoint", server.url, "-t", "0", "What is 2 plus 3?"])
    assert loaded & {*FOR_SOME_ANSWERS, "llama_cpp", "ctypes"} == set()
    engine = {"hermes_cli.engine", "hermes_cli.engine.load_options"}
    others = ("hermes_cli.engine", "hermes_cli.machine", "hermes_cli.models", "hermes_cli.gguf")
    assert within(loaded - engine, (*ROOMS_FOR_SOME_ANSWERS, *others)) == []


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
