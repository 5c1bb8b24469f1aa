"""`hermes test`: cases asked of the demo model, by the real program."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hermes_cli.chat.message import Message
from hermes_cli.engine.local import LocalBackend
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
SUM = "- {prompt: 'What is 2 plus 3?', expect: {contains: 5}}\n"
WRONG = "- {prompt: 'What is 2 plus 3?', expect: {contains: six, form: json}}\n"
NOTICE = "no Hermes 3 model found; answering with the 8 MB demo model. To download Hermes 3: hermes pull\n"
WritePreset = Callable[..., None]
WriteCases = Callable[[str], Path]


def case(prompt: str, calls: str) -> str:
    """A case that expects calls."""
    return f"  - {{prompt: '{prompt}', expect: {{calls: {calls}}}}}\n"


def weather(calls: str) -> str:
    """A case about the weather."""
    return case("What is the weather in Oslo?", calls)


def date(calls: str) -> str:
    """A case about the date."""
    return case("What is the date today?", calls)


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteCases:
    """Writes a file of cases with two tools; models answer with temperature 0."""
    monkeypatch.setenv("HERMES_CLI_TEMPERATURE", "0")
    (tmp_path / "tools.py").write_text(TOOLS)

    def written(listed: str) -> Path:
        (tmp_path / "cases.yaml").write_text(f"tools: [tools.py]\ncases:\n{listed}")
        return tmp_path / "cases.yaml"

    return written


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WritePreset:
    """Writes presets of the user's own, with temperature 0."""
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path / "config"))
    folder = tmp_path / "config" / "prompts"
    folder.mkdir(parents=True)

    def written(name: str, examples: str, body: str = "", front: str = "sampling: {temperature: 0}") -> None:
        listed = f"examples:\n{examples}" if examples else ""
        (folder / f"{name}.md").write_text(f"---\ndescription: d\n{front}\n{listed}---\n{body}\n")

    return written


def test_right_answers_give_0_and_the_model_is_named(hermes: Hermes, preset: WritePreset) -> None:
    preset("sums", SUM)
    persona = "- {prompt: 'Who are you?', expect: {contains: [captain, pirate]}, variables: {name: Captain Vex}}\n"
    preset("pirate", persona, "You are {{name}}, a pirate.", "sampling: {temperature: 0}\nvariables: {name:}")
    result = hermes("test", "-p", "sums", "--preset", "pirate", "-p", "sums", "-m", "demo")
    assert (result.code, result.out.decode()) == (
        0,
        "model: Hermes demo model, seed 1\n"
        "pass  sums 1    What is 2 plus 3?\n"
        "pass  pirate 1  Who are you?\n"
        "\n"
        "pirate  1/1  100%\n"
        "sums    1/1  100%\n"
        "all     2/2  100%\n",
    )
    assert hermes("test", "-p", "sums").err == NOTICE


def test_a_wrong_answer_is_shown_with_what_is_wrong_and_gives_1(hermes: Hermes, preset: WritePreset) -> None:
    preset("sums", SUM + WRONG)
    result = hermes("test", "-p", "sums", "-m", "demo")
    assert (result.code, result.out.decode().splitlines()[1:]) == (
        1,
        [
            "pass  sums 1  What is 2 plus 3?",
            "FAIL  sums 2  What is 2 plus 3?",
            '      the answer does not contain "six"',
            "      the answer is not JSON",
            "      answered 2 plus 3 is 5.",
            "",
            "sums  1/2  50%",
            "all   1/2  50%",
        ],
    )


def test_right_calls_give_0_and_no_tool_runs(hermes: Hermes, cases: WriteCases) -> None:
    file = cases(
        weather("{name: get_weather, arguments: {city: Oslo}}")
        + weather("{name: get_weather, schemas: {city: {pattern: ^O}}}")
        + weather("get_weather")
        + date("{name: get_date, arguments: {}}")
        + case("What is 2 plus 3?", "none")
    )
    result = hermes("test", file, "-m", "demo")
    assert (result.code, result.out.decode()) == (
        0,
        "model: Hermes demo model, seed 1\n"
        "pass  cases 1  What is the weather in Oslo?\n"
        "pass  cases 2  What is the weather in Oslo?\n"
        "pass  cases 3  What is the weather in Oslo?\n"
        "pass  cases 4  What is the date today?\n"
        "pass  cases 5  What is 2 plus 3?\n"
        "\n"
        "get_date     1/1  100%\n"
        "get_weather  3/3  100%\n"
        "no call      1/1  100%\n"
        "all          5/5  100%\n",
    )
    assert not file.with_name("ran").exists()


def test_several_calls_in_any_order(hermes: Hermes, cases: WriteCases) -> None:
    both = "What is the weather in Oslo? What is the date today?"
    file = cases(
        case(both, "[get_date, {name: get_weather, arguments: {city: Oslo}}]")
        + case(both, "[get_weather, get_weather]")
    )
    result = hermes("test", file, "-m", "demo")
    assert result.code == 1
    assert result.out.decode().splitlines()[1:] == [
        f"pass  cases 1  {both}",
        f"FAIL  cases 2  {both}",
        "      get_weather was not called",
        "      unexpected call of get_date",
        '      called get_weather(city="Oslo")',
        "      called get_date()",
        "",
        "get_date     1/1  100%",
        "get_weather  1/2  50%",
        "all          1/2  50%",
    ]


def test_json_has_every_call(hermes: Hermes, cases: WriteCases) -> None:
    file = cases(
        weather("{name: get_weather, arguments: {city: Bergen, days: 2}}")
        + weather("{name: get_weather, schemas: {city: {enum: [Bergen]}}}")
        + weather("{name: get_weather, arguments: {}}")
        + date("none")
        + case("What is 2 plus 3?", "get_date")
    )
    result = hermes("test", file, "-m", "demo", "--json", "--no-constrain")
    facts = json.loads(result.out)
    assert (result.code, facts["model"], facts["seed"], facts["constrained"]) == (1, "Hermes demo model", 1, False)
    assert (facts["passed"], facts["total"]) == (0, 5)
    assert facts["groups"] == [
        {"name": "get_date", "passed": 0, "total": 1},
        {"name": "get_weather", "passed": 0, "total": 3},
        {"name": "no call", "passed": 0, "total": 1},
    ]
    oslo = [{"name": "get_weather", "arguments": {"city": "Oslo"}}]
    answers = [answer for one in facts["cases"] for answer in one["answers"]]
    assert [(answer["calls"], answer["faults"]) for answer in answers] == [
        (oslo, ["days is missing", 'city is "Oslo", expected "Bergen"']),
        (oslo, ['city must be one of "Bergen", not "Oslo"']),
        (oslo, ['unexpected argument city: "Oslo"']),
        ([{"name": "get_date", "arguments": {}}], ["unexpected call of get_date"]),
        ([], ["get_date was not called"]),
    ]
    assert answers[-1]["answer"] == "2 plus 3 is 5."


def test_json_has_every_answer(hermes: Hermes, preset: WritePreset) -> None:
    preset("sums", SUM + WRONG)
    result = hermes("test", "--json", "-p", "sums", "-m", "demo", "--repeats", "2")
    facts = json.loads(result.out)
    assert (result.code, facts["passed"], facts["total"]) == (1, 1, 2)
    assert facts["groups"] == [{"name": "sums", "passed": 1, "total": 2}]
    wrong = ['the answer does not contain "six"', "the answer is not JSON"]
    assert facts["cases"] == [
        {
            "source": "sums",
            "number": number,
            "prompt": "What is 2 plus 3?",
            "preset": "sums",
            "variables": {},
            "passed": not faults,
            "pass_rate": 1,
            "answers": [
                {"seed": seed, "passed": not faults, "answer": "2 plus 3 is 5.", "calls": [], "faults": faults}
                for seed in (1, 2)
            ],
        }
        for number, faults in ((1, []), (2, wrong))
    ]


def test_a_case_is_repeated_and_passes_by_its_rate(hermes: Hermes, cases: WriteCases) -> None:
    never = "expect: {contains: six}, repeats: 3"
    always = "expect: {equals: '2 plus 3 is 5.'}, repeats: 2, pass_rate: 0.5"
    file = cases(
        f"  - {{prompt: 'What is 2 plus 3?', {never}, pass_rate: 0}}\n"
        f"  - {{prompt: 'What is 2 plus 3?', {never}, pass_rate: 0.1}}\n"
        f"  - {{prompt: 'What is 2 plus 3?', {always}}}\n"
    )
    result = hermes("test", file, "-m", "demo")
    assert result.code == 1
    assert result.out.decode().splitlines()[1:6] == [
        "pass  cases 1  0/3  What is 2 plus 3?",
        "FAIL  cases 2  0/3  What is 2 plus 3?",
        '      the answer does not contain "six"',
        "      answered 2 plus 3 is 5.",
        "pass  cases 3  2/2  What is 2 plus 3?",
    ]


def test_the_same_model_gives_the_same_answers(hermes: Hermes, preset: WritePreset) -> None:
    """At a temperature where two answers would hardly be equal by chance."""
    example = "- {prompt: Tell me about the sea., expect: {not_contains: xyzzy}}\n"
    preset("babble", example * 2, "", "sampling: {temperature: 5}")
    once, again = (json.loads(hermes("test", "-p", "babble", "-m", "demo", "--json").out) for _ in range(2))
    answers = [one["answers"][0]["answer"] for one in once["cases"]]
    assert once == again
    assert answers[0] == answers[1] != ""


def test_tools_and_schema_of_a_preset_are_used(hermes: Hermes, preset: WritePreset, tmp_path: Path) -> None:
    (tmp_path / "config" / "prompts" / "weather.py").write_text(TOOLS)
    front = "sampling: {temperature: 0}\n"
    asked = "- {prompt: 'What is the weather in Rome?', expect: {contains: sun, calls: get_weather}}\n"
    preset("sky", asked, front=f"{front}tools: weather.py")
    person = "- {prompt: 'Mira is 31 years old.', expect: {json: {name: Mira}}}\n"
    preset("people", person, front=f"{front}schema: name")
    result = hermes("test", "-p", "sky", "-p", "people", "-m", "demo", "--yes")
    assert (result.code, result.err) == (0, 'get_weather(city="Rome") → "sun"\n'), result
    assert result.out.decode().splitlines()[-1] == "all          2/2  100%"
    assert "declined" in hermes("test", "-p", "sky", "-m", "demo").err


def test_system_and_schema_of_a_case_are_used(hermes: Hermes, cases: WriteCases) -> None:
    pirate = "system: 'You are Captain Vex, a pirate.', expect: {contains: pirate}"
    mira = "schema: 'name, age int', expect: {json: {name: Mira, age: 31}}"
    file = cases(
        f"  - {{prompt: 'Who are you?', tools: [], {pirate}}}\n"
        f"  - {{prompt: 'Mira is 31 years old.', tools: [], {mira}}}\n"
    )
    result = hermes("test", file, "-m", "demo")
    assert result.code == 0, result


def test_without_a_file_the_bundled_cases_for_the_built_in_tools_are_asked(
    hermes: Hermes, cases: WriteCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many of them an 8 MB model passes does not matter."""
    monkeypatch.setenv("HERMES_CLI_MAX_TOKENS", "1")
    facts = json.loads(hermes("test", "-m", "demo", "--json").out)
    tools = {group["name"]: group["total"] for group in facts["groups"]}
    assert sorted(tools) == ["calculate", "current_time", "fetch_url", "no call", "read_file"]
    assert facts["total"] >= 15 and min(tools.values()) >= 2
    some = hermes("test", "--tools", "read_file", "-m", "demo").out.decode()
    assert [line.split()[0] for line in some.splitlines()[-3:]] == ["read_file", "no", "all"]
    own = cases("").with_name("tools.py")
    assert_failed(hermes("test", "--tools", own), 2, f"there are no bundled cases for {own}")


def test_tools_given_as_options_replace_those_of_the_file(hermes: Hermes, cases: WriteCases) -> None:
    file = cases(weather("get_weather"))
    file.write_text(f"cases:\n{weather('get_weather')}")
    assert_failed(hermes("test", file), 2, "cases 1 expects a call of get_weather, which is not among the tools")
    assert hermes("test", file, "--tools", file.with_name("tools.py"), "-m", "demo").code == 0


def test_invalid_cases_are_errors(hermes: Hermes, preset: WritePreset, cases: WriteCases) -> None:
    preset("silent", "")
    assert_failed(hermes("test", "-p", "silent"), 2, "the preset silent has no examples")
    assert_failed(hermes("test", "-p", "silnt"), 2, "there is no preset silnt")
    preset("silent", "- {prompt: x, expect: {contains: y}, variables: {z: 1}}\n")
    assert_failed(hermes("test", "-p", "silent"), 2, "the preset silent has no variable z (in silent 1)")
    preset("silent", "- {input: x}\n")
    assert_failed(hermes("test", "-p", "silent"), 2, "has the unknown key input in example 1")
    preset("sums", SUM)
    assert_failed(hermes("test", "-p", "sums", "-m", "nowhere"), 3, "there is no local model nowhere")
    other = cases(case("x", "get_wether"))
    assert_failed(hermes("test", other), 2, "cases 1 expects a call of get_wether, which is not among the tools")
    town = cases(case("x", "{name: get_weather, arguments: {town: y}}"))
    assert_failed(hermes("test", town), 2, "cases 1 expects the argument town, which get_weather does not have")


def test_a_prompt_longer_than_the_context_fails_its_case_alone(
    hermes: Hermes, cases: WriteCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERMES_CLI_CTX", "1024")
    long = "word " * 3000
    file = cases(
        case(long, "none") + f"  - {{prompt: {long}, expect: {{contains: word}}}}\n" + case("What is 2 plus 3?", "none")
    )
    result = hermes("test", file, "-m", "demo", "--json")
    first, second, third = json.loads(result.out)["cases"]
    assert (result.code, third["passed"]) == (1, True)
    assert all(one["answers"][0]["faults"][0].startswith("not asked: the prompt has ") for one in (first, second))


def test_an_answer_that_never_ends_is_cut(
    hermes: Hermes, preset: WritePreset, endless_path: Path, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset("sums", SUM)
    monkeypatch.setenv("HERMES_CLI_CTX", "2048")
    facts = json.loads(hermes("test", "-p", "sums", "-m", endless_path, "--json").out)
    answer = facts["cases"][0]["answers"][0]["answer"]
    assert 900 < backend.count_tokens((Message("assistant", answer),)) < 1100


@pytest.mark.parametrize("calls", [True, False])
def test_ctrl_c_ends_it_at_once(start: Start, cases: WriteCases, endless_path: Path, calls: bool) -> None:
    expect = "{calls: none}" if calls else "{contains: x}"
    child = start("test", cases(f"  - {{prompt: Hi, expect: {expect}}}\n" * 500), "-m", endless_path)
    assert child.stdout and child.stdout.readline().startswith(b"model: ")
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert child.stderr and child.stderr.read() == b""


def test_an_answer_cannot_harm_the_terminal(
    on_terminal: OnTerminal, cases: WriteCases, hostile_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERMES_CLI_MAX_TOKENS", "20")
    child = on_terminal("test", cases(date("get_date")), "-m", hostile_path)
    assert exit_code(child) == 1
    assert child.before and "\u241b[31m" in child.before and "\x1b[31m" not in child.before
