"""`hermes tools test`: cases asked of the demo model, by the real program."""

import itertools
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.cli.trials.tool_cases import read_cases
from hermes_cli.errors import UsageError
from tests.cli.conftest import OnTerminal, Start, assert_failed, exit_code
from tests.conftest import Hermes

TOOLS = '''
from pathlib import Path

def get_weather(city: str, days: int = 1) -> str:
    """Get the current weather for a city.

    Args:
        city: The city.
        days: How many days.
    """
    Path(__file__).with_name("ran").touch()
    return "sun"

def get_date() -> str:
    """Get today's date."""
    Path(__file__).with_name("ran").touch()
    return "today"
'''
WEATHER = "  - prompt: What is the weather in Oslo?\n    "
DATE = "  - prompt: What is the date today?\n    "
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Makes a file of cases for two tools; models answer with temperature 0."""
    monkeypatch.setenv("HERMES_CLI_TEMPERATURE", "0")
    (tmp_path / "tools.py").write_text(TOOLS)

    def written(cases: str) -> Path:
        (tmp_path / "cases.yaml").write_text(f"tools: [tools.py]\ncases:\n{cases}")
        return tmp_path / "cases.yaml"

    return written


def test_right_calls_give_0_and_no_tool_runs(hermes: Hermes, write: Write) -> None:
    cases = write(
        f"{WEATHER}call: get_weather\n    arguments: {{city: Oslo}}\n"
        f"{WEATHER}call: get_weather\n    schemas: {{city: {{pattern: ^O}}}}\n"
        f"{WEATHER}call: get_weather\n"
        f"{DATE}call: get_date\n    arguments: {{}}\n"
        "  - {prompt: 'What is 2 plus 3?', call: none}\n"
    )
    result = hermes("tools", "test", cases, "-m", "demo")
    assert (result.code, result.out.decode()) == (
        0,
        "model: Hermes demo model, seed 1\n"
        "pass    1  What is the weather in Oslo?\n"
        "pass    2  What is the weather in Oslo?\n"
        "pass    3  What is the weather in Oslo?\n"
        "pass    4  What is the date today?\n"
        "pass    5  What is 2 plus 3?\n"
        "\n"
        "get_date     1/1  100%\n"
        "get_weather  3/3  100%\n"
        "no call      1/1  100%\n"
        "all          5/5  100%\n",
    )
    assert not cases.with_name("ran").exists()


def test_several_calls_in_any_order(hermes: Hermes, write: Write) -> None:
    both = "prompt: What is the weather in Oslo? What is the date today?"
    cases = write(
        f"  - {both}\n    calls: [{{call: get_date}}, {{call: get_weather, arguments: {{city: Oslo}}}}]\n"
        f"  - {both}\n    calls: [{{call: get_weather}}, {{call: get_weather}}]\n"
    )
    result = hermes("tools", "test", cases, "-m", "demo")
    assert result.code == 1
    assert result.out.decode().splitlines()[1:] == [
        "pass    1  What is the weather in Oslo? What is the date today?",
        "FAIL    2  What is the weather in Oslo? What is the date today?",
        "           get_weather was not called",
        "           get_date should not be called",
        '           called get_weather(city="Oslo")',
        "           called get_date()",
        "",
        "get_date     1/1  100%",
        "get_weather  1/2  50%",
        "all          1/2  50%",
    ]


def test_a_call_that_fits_several_is_taken_for_the_one_that_needs_it(write: Write) -> None:
    calls = "[{call: f}, {call: f, schemas: {x: {minimum: 1}}}, {call: f, arguments: {x: 1}}]"
    (case,) = read_cases(write(f"  - prompt: p\n    calls: {calls}\n")).cases
    for given in itertools.permutations((1, 2, 0)):
        assert case.faults([ToolCall("f", {"x": x}) for x in given], {"f": {}}) == []
    wrong = case.faults([ToolCall("f", {"x": x}) for x in (1, 0, 0)], {"f": {}})
    assert wrong == ["x is 0, not 1"]


def test_json_tells_what_was_called_instead(hermes: Hermes, write: Write) -> None:
    cases = write(
        f"{WEATHER}call: get_weather\n    arguments: {{city: Bergen, days: 2}}\n"
        f"{WEATHER}call: get_weather\n    schemas: {{city: {{enum: [Bergen]}}}}\n"
        f"{WEATHER}call: get_weather\n    arguments: {{}}\n"
        f"{DATE}call: none\n"
        "  - {prompt: 'What is 2 plus 3?', call: get_date}\n"
    )
    result = hermes("tools", "test", cases, "-m", "demo", "--json", "--no-constrain")
    told = json.loads(result.out)
    assert (result.code, told["model"], told["seed"], told["constrained"]) == (1, "Hermes demo model", 1, False)
    assert (told["passed"], told["total"]) == (0, 5)
    assert told["tools"] == [
        {"name": "get_date", "passed": 0, "total": 1},
        {"name": "get_weather", "passed": 0, "total": 3},
        {"name": "no call", "passed": 0, "total": 1},
    ]
    oslo = [{"name": "get_weather", "arguments": {"city": "Oslo"}}]
    assert [(case["expected"], case["calls"], case["faults"], case["passed"]) for case in told["cases"]] == [
        (["get_weather"], oslo, ["days is missing", 'city is "Oslo", not "Bergen"'], False),
        (["get_weather"], oslo, ['city must be one of "Bergen", not "Oslo"'], False),
        (["get_weather"], oslo, ['city is "Oslo", and should not be there'], False),
        ([], [{"name": "get_date", "arguments": {}}], ["get_date should not be called"], False),
        (["get_date"], [], ["get_date was not called"], False),
    ]
    assert told["cases"][-1]["answer"] == "2 plus 3 is 5."


def test_the_cases_for_the_built_in_tools_are_asked_where_no_file_is_given(
    hermes: Hermes, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a model of 8 MB makes of them is no matter."""
    monkeypatch.setenv("HERMES_CLI_MAX_TOKENS", "1")
    told = json.loads(hermes("tools", "test", "-m", "demo", "--json").out)
    tools = {tool["name"]: tool["total"] for tool in told["tools"]}
    assert sorted(tools) == ["calculate", "current_time", "fetch_url", "no call", "read_file"]
    assert told["total"] >= 15 and min(tools.values()) >= 2
    some = hermes("tools", "test", "--tools", "read_file", "-m", "demo").out.decode()
    assert [line.split()[0] for line in some.splitlines()[-3:]] == ["read_file", "no", "all"]
    own = write("").with_name("tools.py")
    assert_failed(hermes("tools", "test", "--tools", own), 2, "there are no cases for get_weather")


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ("", "needs a list of cases"),
        ("  - [", "has a fault in line"),
        ("  - a", "needs `name: value` lines in case 1"),
        ("  - {call: none}", "has no prompt in case 1"),
        ("  - {prompt: x}", "needs either call or calls in case 1"),
        ("  - {prompt: x, call: none, calls: []}", "needs either call or calls in case 1"),
        ("  - {promt: x, call: none}", "unknown key promt in case 1; did you mean prompt?"),
        ("  - {prompt: x, call: none, arguments: {city: y}}", "has more beside `call: none` in case 1"),
        ("  - {prompt: x, calls: [{call: none}, {call: get_date}]}", "has more beside `call: none`"),
        ("  - {prompt: x, calls: [{call: get_date}], partial: true}", "has partial beside calls in case 1"),
        ("  - {prompt: x, call: get_date, prompt: y}", "a key stands twice"),
        ("  - {prompt: x, call: get_date, partial: 1}", "needs true or false as partial of case 1"),
        ("  - {prompt: x, call: get_weather, schemas: {city: {type: txt}}}", "the schema of city is not valid"),
        ("  - {prompt: x, call: get_weather, arguments: {city: a}, schemas: {city: {}}}", "both in arguments and in"),
    ],
)
def test_a_broken_case_is_named(write: Write, cases: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_cases(write(cases))
    assert message in raised.value.message and not raised.value.message.endswith(".")


def test_a_case_that_no_call_could_satisfy_is_named(hermes: Hermes, write: Write) -> None:
    other = "  - {prompt: x, call: get_wether}"
    assert_failed(hermes("tools", "test", write(other)), 2, "case 1 expects a call of get_wether, which is none of")
    town = "  - {prompt: x, call: get_weather, arguments: {town: y}}"
    assert_failed(hermes("tools", "test", write(town)), 2, "case 1 expects the argument town, which get_weather has")


def test_json_files_lists_and_values_as_they_are_written(hermes: Hermes, write: Write, tmp_path: Path) -> None:
    """Plain YAML words are JSON's; what else YAML would make of a `no` or a date stays text."""
    cases = write(f"{WEATHER}call: get_weather\n    arguments: {{city: no, days: 2024-01-01}}\n")
    faults = json.loads(hermes("tools", "test", cases, "-m", "demo", "--json").out)["cases"][0]["faults"]
    assert faults == ["days is missing", 'city is "Oslo", not "no"']
    listed = [
        {"prompt": "What is the weather in Oslo?", "call": "get_weather", "arguments": {"city": "Oslo", "days": 1}}
    ]
    (tmp_path / "cases.json").write_text(json.dumps(listed))
    result = hermes("tools", "test", tmp_path / "cases.json", "--tools", tmp_path / "tools.py", "-m", "demo")
    assert (result.code, result.out.decode().splitlines()[2]) == (1, "           days is missing")
    (tmp_path / "cases.json").write_text("[{")
    for name, message in (("cases.json", "has a fault: "), ("none.yaml", "No such file"), (".", "Is a directory")):
        with pytest.raises(UsageError, match=message):
            read_cases(tmp_path / name)


def test_a_prompt_longer_than_the_window_fails_its_case_alone(hermes: Hermes, write: Write) -> None:
    cases = write(f"  - {{prompt: {'word ' * 3000}, call: none}}\n  - {{prompt: 'What is 2 plus 3?', call: none}}\n")
    result = hermes("tools", "test", cases, "-m", "demo", "--json")
    first, second = json.loads(result.out)["cases"]
    assert (result.code, second["passed"]) == (1, True)
    assert first["faults"][0].startswith("it could not be asked: the prompt has ")


def test_ctrl_c_ends_it_at_once(start: Start, write: Write, endless_path: Path) -> None:
    child = start("tools", "test", write("  - {prompt: Hi, call: none}\n" * 500), "-m", endless_path)
    assert child.stdout and child.stdout.readline().startswith(b"model: ")
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert child.stderr and child.stderr.read() == b""


def test_an_answer_cannot_harm_the_terminal(
    on_terminal: OnTerminal, write: Write, hostile_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERMES_CLI_MAX_TOKENS", "20")
    child = on_terminal("tools", "test", write(f"{DATE}call: get_date\n"), "-m", hostile_path)
    assert exit_code(child) == 1
    assert child.before and "\u241b[31m" in child.before and "\x1b[31m" not in child.before
