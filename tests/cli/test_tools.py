"""`hermes tools`: the real program."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import OnTerminal, assert_failed, exit_code
from tests.conftest import Hermes, Script

WEATHER = '''
import time
READ_ONLY = {"get_weather"}

def get_weather(city: str, days: int = 1, tags: list[str] = []) -> dict:
    """Get the weather.

    Args:
        city: The city.
    """
    return {"city": city, "days": days, "tags": tags}

def wait() -> str:
    """Wait \\x1b[31mlong."""
    time.sleep(100)
'''


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    """A tool file."""
    path = tmp_path / "weather.py"
    path.write_text(WEATHER)
    return path


def test_list(hermes: Hermes, weather: Path) -> None:
    built_in = hermes("tools", "list")
    rows = [line.split("\t") for line in built_in.out.decode().splitlines()]
    assert [row[:3] for row in rows] == [
        ["calculate", "built-in", "read-only"],
        ["current_time", "built-in", "read-only"],
        ["fetch_url", "built-in", "asks"],
        ["read_file", "built-in", "read-only"],
    ]
    both = hermes("tools", "list", "--tools", weather, "--tools", "calculate").out.decode().splitlines()
    assert f"get_weather\t{weather}\tread-only\tGet the weather." in both
    names = ["calculate", "current_time", "fetch_url", "get_weather", "read_file", "wait"]
    assert sorted(line.split("\t")[0] for line in both) == names


def test_list_is_a_table_on_a_terminal(on_terminal: OnTerminal, weather: Path) -> None:
    child = on_terminal("tools", "list", "--tools", weather)
    child.expect(r"name +from +consent +description\r\n")
    child.expect("wait .*asks +Wait \u241b\\[31mlong.\r\n")
    assert exit_code(child) == 0


def test_show(hermes: Hermes, weather: Path) -> None:
    shown = json.loads(hermes("tools", "show", "calculate").out)
    assert (shown["type"], shown["function"]["name"]) == ("function", "calculate")
    assert [one["function"]["name"] for one in json.loads(hermes("tools", "show", weather).out)] == [
        "get_weather",
        "wait",
    ]
    prompt = hermes("tools", "show", weather, "--prompt").out.decode()
    assert prompt.startswith("You are a function calling AI model.")
    assert '"description": "get_weather(city: str, days: int, tags: list[str]) - Get the weather.' in prompt
    assert_failed(hermes("tools", "show", "calculat"), 2, "there is no built-in tool calculat")


def test_run(hermes: Hermes, weather: Path) -> None:
    assert json.loads(hermes("tools", "run", "calculate", "expression=2 ** 3").out) == 8
    given = {"city": "Oslo=1", "days": 3, "tags": ["a"]}
    pairs = ("city=Oslo=1", "days=3", 'tags=["a"]')
    assert json.loads(hermes("tools", "run", "get_weather", *pairs, "--tools", weather).out) == given
    assert json.loads(hermes("tools", "run", "get_weather", json.dumps(given), "--tools", weather).out) == given


def test_run_that_fails(hermes: Hermes, weather: Path) -> None:
    failed = hermes("tools", "run", "calculate", "expression=1/0")
    assert_failed(failed, 6, "calculate: a division by zero")
    cases = {
        ("get_weather", "days=soon"): "get_weather: city is missing; days must be a whole number",
        ("wait", "--timeout", "0.2"): "wait: the call took longer than 0.2 s and was ended",
    }
    for arguments, message in cases.items():
        assert_failed(hermes("tools", "run", *arguments, "--tools", weather), 6, message)
    assert_failed(hermes("tools", "run", "get_wether", "--tools", weather), 2, "there is no tool get_wether")
    assert_failed(hermes("tools", "run", weather, "city=Oslo"), 2, f"{weather} is a file of tools")
    assert_failed(hermes("tools", "run", "calculate", "expression=1", "--timeout", "nan"), 2, "cannot be nan")
    assert_failed(hermes("tools", "run", "calculate", "1+1"), 2, "1+1 is not KEY=VALUE")
    assert_failed(hermes("tools", "run", "calculate", "{1"), 2, "the arguments are not JSON")


def test_read_file_stays_in_the_working_folder(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("here")
    assert json.loads(hermes("tools", "run", "read_file", "path=a.txt", cwd=tmp_path).out) == "here"
    outside = hermes("tools", "run", "read_file", "path=/etc/passwd", cwd=tmp_path)
    assert_failed(outside, 6, "lies outside of the folder")


def test_a_variable_is_passed_on_purpose_only(hermes: Hermes, tmp_path: Path) -> None:
    path = tmp_path / "look.py"
    path.write_text('import os\ndef look() -> str | None:\n  "Look."\n  return os.environ.get("SECRET_KEY")')
    run = ("tools", "run", "look", "--tools", path)
    assert json.loads(hermes(*run, env={"SECRET_KEY": "s"}).out) is None
    assert json.loads(hermes(*run, "--tool-env", "SECRET_KEY", env={"SECRET_KEY": "s"}).out) == "s"


def test_tools_and_schemas_never_enter_the_program_itself(script: Script, weather: Path) -> None:
    """Neither the user's file nor the library that reads it is imported here, and jsonschema only at a call."""
    code = """
        import sys
        from hermes_cli.tools.toolbox import load_toolbox
        with load_toolbox([sys.argv[1], "calculate"]) as toolbox:
            loaded = {"pydantic", "jsonschema", "docstring_parser", "tool_file_weather", "psutil"} & set(sys.modules)
            print(len(toolbox.tools), *sorted(loaded))
    """
    assert script(code, weather).out.decode().split() == ["3"]
