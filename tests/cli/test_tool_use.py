"""Function calling and JSON mode in the real program: confirmations, calls and exit codes."""

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.terminal.consent import answer, described
from hermes_cli.tools.approval import Decision
from tests.cli.conftest import OnScreen, Start, assert_failed
from tests.conftest import PACKAGE_PARENT, Hermes, Result

PAGE = PACKAGE_PARENT / "docs" / "function-calling.md"
QUESTION = "What is the weather in Rome?"
CALL = 'get_weather(city="Rome")'
DEMO = ("-m", "demo", "-t", "0")


@pytest.fixture
def tool_file(tmp_path: Path) -> Path:
    """A tool that leaves a trace when it runs."""
    file = tmp_path / "weather.py"
    file.write_text(f'''
from pathlib import Path


def get_weather(city: str) -> dict:
    """Get the weather of a city.

    Args:
        city: The name of the city.
    """
    with open({str(tmp_path / "ran")!r}, "a") as trace:
        trace.write(city + "\\n")
    return {{"city": city, "sky": "clear"}}
''')
    return file


def runs(tool_file: Path) -> int:
    """How often the tool has run."""
    trace = tool_file.with_name("ran")
    return len(trace.read_text().splitlines()) if trace.exists() else 0


def test_with_yes_the_tool_runs_and_the_trace_goes_to_stderr(hermes: Hermes, tool_file: Path) -> None:
    result = hermes("ask", *DEMO, "--tools", tool_file, "--yes", QUESTION)
    assert (result.code, runs(tool_file)) == (0, 1)
    assert result.out == b"The result: city is Rome, sky is clear.\n"
    assert result.err == f'{CALL} → {{"city": "Rome", "sky": "clear"}}\n'


def test_a_variable_is_passed_by_its_name(hermes: Hermes, tmp_path: Path) -> None:
    file = tmp_path / "look.py"
    file.write_text("""import os
def get_weather(city: str) -> bool:
    "Get the weather of a city."
    return "WEATHER_KEY" in os.environ
""")
    result = hermes(
        *("ask", *DEMO, "--tools", file, "--yes", "--tool-env", "WEATHER_KEY", QUESTION), env={"WEATHER_KEY": "k"}
    )
    assert result.err == f"{CALL} → true\n"


def test_the_example_of_the_page_runs_as_it_stands(tmp_path: Path, shell: Callable[[str], Result]) -> None:
    file, session = re.findall(r"```(?:python)?\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[:2]
    (tmp_path / "stocks.py").write_text(file)
    command, *shown = session.splitlines()
    result = shell(f"cd '{tmp_path}' && {command.removeprefix('$ ')} 2>&1")
    assert (result.code, result.out.decode().splitlines()) == (0, shown)


def test_a_call_is_planned_in_the_scratch_pad_first(hermes: Hermes, tool_file: Path) -> None:
    result = hermes("ask", *DEMO, "-p", "scratch-pad", "--tools", tool_file, "--yes", QUESTION)
    assert result.err.startswith(CALL) and runs(tool_file) == 1
    pad = result.out.decode().partition("</scratch_pad>")[0]
    assert pad.startswith("<scratch_pad>\nGoal: ") and "- result = functions.get_weather(" in pad


@pytest.mark.parametrize("options", [(), ("--deny",)])
def test_without_a_terminal_calls_are_declined_with_exit_code_6(
    hermes: Hermes, tool_file: Path, options: tuple[str, ...]
) -> None:
    result = hermes("ask", *DEMO, "--tools", tool_file, *options, QUESTION)
    assert (result.code, runs(tool_file)) == (6, 0)
    assert "declined" in result.out.decode() and "The user declined this call: " in result.err
    assert ("--yes runs them without asking" in result.err) == (not options)


def test_json_lists_the_calls(hermes: Hermes, tool_file: Path) -> None:
    result = hermes("ask", *DEMO, "--tools", tool_file, "--yes", "--json", QUESTION)
    assert result.err.startswith(CALL)
    given = json.loads(result.out)
    call = {"name": "get_weather", "arguments": {"city": "Rome"}, "approved": True}
    assert given["tool_calls"] == [{**call, "result": {"city": "Rome", "sky": "clear"}}]
    assert given["answer"] == "The result: city is Rome, sky is clear." and given["session"]


def test_the_user_is_asked_on_a_terminal_and_may_say_no_with_a_reason(on_screen: OnScreen, tool_file: Path) -> None:
    screen = on_screen("chat", *DEMO, "--tools", tool_file)
    screen.say(QUESTION)
    screen.shows("the model wants to run get_weather")
    screen.shows('  city: "Rome"')
    screen.shows("run it? ")
    screen.type("not today\r")
    screen.shows("The user declined this call: not today")
    screen.shows("because you declined it")
    assert runs(tool_file) == 0
    screen.say(QUESTION)
    screen.shows("run it? ", times=2)
    screen.type("s\r")
    screen.shows("sky is clear.")
    screen.say("/regen")
    screen.shows("sky is clear.", times=2)
    assert (runs(tool_file), screen.text.count("run it? ")) == (2, 2)


def test_a_tool_that_loads_or_runs_for_long_is_shown_with_its_seconds(on_screen: OnScreen, tool_file: Path) -> None:
    slow = tool_file.read_text().replace("    return", "    time.sleep(60)\n    return")
    tool_file.write_text(f"import time\n\ntime.sleep(2)\n{slow}")
    screen = on_screen("chat", *DEMO, "--tools", tool_file)
    screen.shows("loading tools")
    screen.say(QUESTION)
    screen.shows("run it? ")
    screen.type("y\r")
    screen.wait(lambda: bool(re.search(r"^running get_weather · [1-9] s$", screen.text, re.MULTILINE)), "the seconds")
    screen.type("\x03")
    screen.prompt()
    assert runs(tool_file) == 1 and "running" not in screen.text
    screen.say("/exit")
    assert screen.ended() == 0


def test_with_a_pipe_for_stdin_the_terminal_behind_it_is_asked(on_screen: OnScreen, tool_file: Path) -> None:
    screen = on_screen("ask", *DEMO, "--tools", tool_file, script=f'echo "{QUESTION}" | "$@"')
    screen.shows("run it? ")
    assert "running" not in screen.text
    screen.type("y\r")
    assert screen.ended() == 0
    assert "sky is clear" in screen.text and runs(tool_file) == 1


def test_the_question_hides_nothing_of_a_call() -> None:
    hostile = {"city": "Ro\u200bme\n  city: \u202e\x1b[2J\u2028\U000e0041", "x\n  city": "a" * 9000}
    first, city, other = described(ToolCall("get_weather", hostile)).splitlines()
    assert first == "the model wants to run get_weather"
    assert city == '  city: "Ro\\u200bme\\n  city: \\u202e\\u001b[2J\\u2028\\udb40\\udc41"'
    assert other == f'  "x\\n  city": "{"a" * 9000}"'


def test_ctrl_c_ends_the_import_of_a_tool_file(start: Start, tmp_path: Path) -> None:
    file, begun = tmp_path / "slow.py", tmp_path / "begun"
    file.write_text(f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(1000)\n")
    child = start("ask", *DEMO, "--tools", file, "Hi")
    while not begun.exists():
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    assert child.communicate() == (b"", b"")
    assert child.returncode == 130


def test_ctrl_c_while_a_tool_runs_reports_the_call_in_the_envelope(start: Start, tmp_path: Path) -> None:
    file, begun = tmp_path / "slow.py", tmp_path / "begun"
    file.write_text(f"""import pathlib, time

def get_weather(city: str) -> str:
    "Get the weather of a city."
    pathlib.Path({str(begun)!r}).touch()
    time.sleep(1000)
""")
    child = start("ask", *DEMO, "--json", "--yes", "--tools", file, QUESTION)
    while not begun.exists():
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    given = json.loads(child.communicate()[0])
    assert (child.returncode, given["finish_reason"], given["answer"]) == (130, "cancelled", "")
    assert [call["error"] for call in given["tool_calls"]] == ["the call was stopped by the user"]


@pytest.fixture
def long_result(tmp_path: Path) -> Path:
    """A tool whose result is longer than a result may be."""
    file = tmp_path / "long.py"
    file.write_text('def get_weather(city: str) -> str:\n  "Get the weather of a city."\n  return "x" * 50000\n')
    return file


def test_result_longer_than_the_context_is_cut_and_answered(hermes: Hermes, long_result: Path) -> None:
    result = hermes("ask", *DEMO, "--ctx", "2048", "-n", "64", "--json", "--yes", "--tools", long_result, QUESTION)
    given = json.loads(result.out)
    call, cut, *_ = result.err.splitlines()  # whether the answer ends before 64 tokens depends on the processor
    assert result.code == 0 and given["answer"] and call.startswith(CALL)
    assert re.fullmatch(r"results are cut to [\d,]+ characters to fit the context", cut)
    assert len(given["tool_calls"][0]["result"]) > 20_000


def test_context_without_room_for_a_result_is_an_error_with_a_hint(hermes: Hermes, long_result: Path) -> None:
    result = hermes("ask", *DEMO, "--ctx", "405", "--yes", "--tools", long_result, QUESTION)
    assert (result.code, result.out) == (4, b"")
    call, _, error, hint = result.err.splitlines()
    assert call.startswith(CALL) and error.startswith("error: the prompt has ")
    assert hint.startswith("hint: allow fewer rounds of calls: --max-rounds N; or shorten it, or use")


def test_ctrl_c_at_the_confirmation_declines_and_the_chat_continues(on_screen: OnScreen, tool_file: Path) -> None:
    screen = on_screen("chat", *DEMO, "--tools", tool_file)
    screen.say(QUESTION)
    screen.shows("run it? ")
    screen.type("\x03")
    screen.say("/undo")
    screen.shows("removed: 1 turn")
    assert runs(tool_file) == 0


def test_after_a_stop_the_question_is_there_again(on_screen: OnScreen, tool_file: Path) -> None:
    screen = on_screen("chat", *DEMO, "--tools", tool_file, script='set -m; "$@"; fg')
    screen.say(QUESTION)
    screen.shows("run it? ")
    screen.type("\x1a")
    screen.shows("run it? ", times=2)
    screen.type("y\r")
    screen.shows("sky is clear")


@pytest.mark.parametrize("command", ["chat", "ask"])
def test_keys_typed_before_a_question_do_not_answer_it(
    on_screen: OnScreen, tool_file: Path, tmp_path: Path, command: str
) -> None:
    """In a chat a thread takes what is typed meanwhile; at `ask` it waits in the terminal."""
    may_continue, question = tmp_path / "continue", "Get the weather for Oslo. Then get the weather for Rome."
    waits = f"    import os, time\n    while not os.path.exists({str(may_continue)!r}):\n        time.sleep(0.02)\n"
    tool_file.write_text(tool_file.read_text().replace("    return", f"{waits}    return"))
    screen = on_screen(command, *DEMO, "--tools", tool_file, *([question] if command == "ask" else []))
    if command == "chat":
        screen.say(question)
    screen.shows("run it? ")
    screen.type("y\r")
    screen.wait(lambda: runs(tool_file) == 1, "the first call")
    screen.type("y\ry\r")
    may_continue.touch()
    screen.shows("run it? ", times=2)
    screen.type("n\r")
    screen.shows("declined this call")
    assert runs(tool_file) == 1


def test_what_is_allowed_for_always_is_not_asked_again_until_the_file_changes(
    on_screen: OnScreen, hermes: Hermes, tool_file: Path
) -> None:
    screen = on_screen("chat", *DEMO, "--tools", tool_file)
    screen.say(QUESTION)
    screen.shows("run it? ")
    screen.type("a\r")
    screen.shows("sky is clear")
    assert hermes("ask", *DEMO, "--tools", tool_file, QUESTION).err.startswith(f"{CALL} → {{")
    tool_file.write_text(tool_file.read_text().replace("clear", "grey"))
    refused = hermes("ask", *DEMO, "--tools", tool_file, QUESTION)
    assert refused.code == 6 and "declined" in refused.err


@pytest.mark.parametrize(
    ("line", "decision"),
    [
        ("y\n", Decision(True)),
        (" YES \n", Decision(True)),
        ("s\n", Decision(True, "session")),
        ("a\n", Decision(True, "always")),
        ("always\n", Decision(True, "always")),
        ("\n", Decision(False)),
        ("n\n", Decision(False)),
        ("", Decision(False)),
        ("yes please\n", Decision(False, reason="yes please")),
    ],
)
def test_only_a_clear_yes_is_a_yes(line: str, decision: Decision) -> None:
    assert answer(line) == decision


def test_tools_of_a_chat_are_shown_changed_and_removed(hermes: Hermes, tool_file: Path) -> None:
    lines = f"/tools\n/tools {tool_file}\n/tools no_such\n/tools\n/tools -\n"
    result = hermes("chat", *DEMO, stdin=lines)
    shown = result.err.splitlines()
    assert result.code == 2 and shown[0].startswith("no tools") and shown[1].startswith("get_weather ")
    assert "asks first" in shown[1] and shown[2] == "error: there is no built-in tool no_such"


def test_json_mode_prints_only_data_that_satisfies_the_schema(hermes: Hermes) -> None:
    result = hermes("ask", *DEMO, "--schema", "name, age int", "Mira is 31 years old.")
    assert (result.code, json.loads(result.out)) == (0, {"name": "Mira", "age": 31})
    given = json.loads(hermes("ask", *DEMO, "--json", "--schema", "name, age int", "Mira is 31 years old.").out)
    assert given["data"] == {"name": "Mira", "age": 31} and json.loads(given["answer"]) == given["data"]


def test_json_that_is_cut_is_printed_and_the_code_is_5(hermes: Hermes) -> None:
    result = hermes("ask", *DEMO, "--schema", "name, age int", "-n", "3", "Mira is 31 years old.")
    assert result.code == 5 and result.out.startswith(b'{"name') and b"}" not in result.out
    error, hint = result.err.splitlines()
    assert error.startswith("error: the answer does not satisfy the schema: not JSON") and "--max-tokens" in hint


def test_the_chat_answers_in_json_until_switched_off(hermes: Hermes) -> None:
    result = hermes("chat", *DEMO, stdin="/json name, age int\nMira is 31 years old.\n/json -\nMy name is Alice.\n")
    data, text = result.out.decode().splitlines()
    assert json.loads(data) == {"name": "Mira", "age": 31} and text == "Nice to meet you, Alice!"
    assert result.err.endswith("no schema\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tools", "no_such_tool"), "there is no built-in tool no_such_tool"),
        (("--tools", "calculate", "--yes", "--deny"), "--yes and --deny cannot be used together"),
        (("--tools", "calculate", "--tool-env", "NO_SUCH"), "there is no variable NO_SUCH to pass to the tools"),
        (("--tools", "calculate", "--tool-choice", "calculat"), "--tool-choice calculat is not the name of a tool"),
        (("--tool-choice", "required"), "--tool-choice needs tools"),
        (("--schema", "{"), "the schema is not JSON"),
    ],
)
def test_invalid_option_values_are_refused(hermes: Hermes, options: tuple[str, ...], message: str) -> None:
    assert_failed(hermes("ask", *DEMO, *options, "Hi"), 2, message)


@pytest.mark.parametrize("place", ["option", "setting"])
def test_the_time_of_a_call_can_be_limited(hermes: Hermes, tmp_path: Path, place: str) -> None:
    file = tmp_path / "weather.py"
    file.write_text(
        "import time\n\n\ndef get_weather(city: str) -> dict:\n"
        '    """Get the weather of a city.\n\n    Args:\n        city: The name of the city.\n    """\n'
        "    time.sleep(600)\n"
    )
    given = ("--tool-timeout", "0.5") if place == "option" else ()
    env = {} if given else {"HERMES_CLI_TOOL_TIMEOUT": "0.5"}
    result = hermes("ask", *DEMO, "--tools", file, "--yes", *given, QUESTION, env=env)
    assert result.code == 6 and "the call took longer than 0.5 s and was ended" in result.err
