"""`hermes tools`: the real program."""

import json
import signal
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import OnTerminal, Start, assert_failed, exit_code
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
    assert '"description": "get_weather(city: str, days: int, tags: list[str]) -> dict - Get the weather.' in prompt
    assert_failed(hermes("tools", "show", "calculat"), 2, "there is no built-in tool calculat")


def test_run(hermes: Hermes, weather: Path) -> None:
    assert json.loads(hermes("tools", "run", "calculate", "expression=2 ** 3").out) == 8
    given = {"city": "Oslo=1", "days": 3, "tags": ["a"]}
    pairs = ("city=Oslo=1", "days=3", 'tags=["a"]')
    assert json.loads(hermes("tools", "run", "get_weather", *pairs, "--tools", weather).out) == given
    assert json.loads(hermes("tools", "run", "get_weather", json.dumps(given), "--tools", weather).out) == given


def test_run_that_fails(hermes: Hermes, weather: Path) -> None:
    failed = hermes("tools", "run", "calculate", "expression=1/0")
    assert_failed(failed, 6, "calculate: division by zero")
    cases = {
        ("get_weather", "days=soon"): "get_weather: city is missing; days must be an integer",
        ("wait", "--timeout", "0.2"): "wait: the call took longer than 0.2 s and was ended",
    }
    for arguments, message in cases.items():
        assert_failed(hermes("tools", "run", *arguments, "--tools", weather), 6, message)
    assert_failed(hermes("tools", "run", "get_wether", "--tools", weather), 2, "there is no tool get_wether")
    assert_failed(hermes("tools", "run", "calculate", "expression=1", "--timeout", "nan"), 2, "cannot be nan")
    file = hermes("tools", "run", weather)
    assert_failed(file, 2, "is a file, not the name of a tool")
    assert f"hermes tools run get_weather --tools {weather}" in file.err
    assert_failed(hermes("tools", "run", "calculate", "1+1"), 2, "1+1 is not KEY=VALUE")
    assert_failed(hermes("tools", "run", "calculate", "{1"), 2, "the arguments are not JSON")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stop_ends_the_command_of_a_tool_too(start: Start, tmp_path: Path, number: signal.Signals, code: int) -> None:
    (tmp_path / "tools.json").write_text(
        json.dumps({"name": "wait", "description": "Wait.", "command": ["sh", "-c", "echo $$ > pid; exec sleep 600"]})
    )
    child = start("tools", "run", "wait", "--tools", "tools.json", cwd=tmp_path)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().endswith("\n"):
        assert child.poll() is None
    child.send_signal(number)
    assert (child.communicate(timeout=60), child.returncode) == ((b"", b""), code)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_read_file_stays_in_the_working_folder(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("here")
    assert json.loads(hermes("tools", "run", "read_file", "path=a.txt", cwd=tmp_path).out) == "here"
    outside = hermes("tools", "run", "read_file", "path=/etc/passwd", cwd=tmp_path)
    assert_failed(outside, 6, "is outside the folder")


def test_variable_is_passed_only_if_named(hermes: Hermes, tmp_path: Path) -> None:
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


def test_approvals_are_listed_and_revoked(hermes: Hermes, tmp_path: Path) -> None:
    env = {"HERMES_CLI_CONFIG_DIR": str(tmp_path)}
    result = hermes("tools", "approvals", env=env)
    assert (result.out, result.err) == (b"", "no approvals are saved\n")
    entries = [{"tool": name, "sha256": f"{index}" * 64} for index, name in enumerate(("get_weather", "send", "wait"))]
    (tmp_path / "tool-approvals.json").write_text(json.dumps({"always": entries}))
    assert hermes("tools", "approvals", env=env).out == (
        b"get_weather\t000000000000\nsend\t111111111111\nwait\t222222222222\n"
    )
    assert_failed(hermes("tools", "approvals", "--revoke", "sent", env=env), 2, "there is no approval for sent")
    result = hermes("tools", "approvals", "--revoke", "send", env=env)
    assert (result.out, result.err) == (b"", "revoked: send\n")
    assert hermes("tools", "approvals", env=env).out.count(b"\n") == 2
    assert hermes("tools", "approvals", "--revoke-all", env=env).err == "revoked: get_weather, wait\n"
    assert hermes("tools", "approvals", env=env).err == "no approvals are saved\n"


def test_group_accepts_the_options_of_list(hermes: Hermes, weather: Path) -> None:
    assert hermes("tools", "--tools", weather).out == hermes("tools", "list", "--tools", weather).out
    assert_failed(hermes("tools", "--tools", weather, "show", "calculate"), 2, "must come after the command")


def test_a_python_tool_is_offered_as_the_model_cards_example(hermes: Hermes, tmp_path: Path) -> None:
    path = tmp_path / "stocks.py"
    path.write_text(
        '''
def get_stock_fundamentals(symbol: str) -> dict:
    """Get fundamental data for a given stock symbol using yfinance API.

    Args:
        symbol (str): The stock symbol.

    Returns:
        dict: A dictionary containing fundamental data.
    """
    return {}
'''
    )
    offered = hermes("tools", "show", path, "--prompt").out.decode()
    assert offered.partition("<tools> ")[2].partition(" </tools>")[0] == (
        '{"type": "function", "function": {"name": "get_stock_fundamentals", "description": '
        '"get_stock_fundamentals(symbol: str) -> dict - Get fundamental data for a given stock symbol using yfinance '
        "API.\n\n    Args:\n        symbol(str): The stock symbol.\n    Returns:\n        dict: A dictionary "
        'containing fundamental data.", "parameters": {"type": "object", "properties": {"symbol": {"type": "string", '
        '"description": "The stock symbol."}}, "required": ["symbol"]}}'
    )
