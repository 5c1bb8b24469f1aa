"""`hermes presets test`: examples asked of the demo model, by the real program."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hermes_cli.chat.message import Message
from hermes_cli.engine.local import LocalBackend
from tests.cli.conftest import OnTerminal, Start, assert_failed, exit_code
from tests.cli.test_presets import TOOLS
from tests.conftest import Hermes

SUM = "  - input: What is 2 plus 3?\n    contains: 5\n"
PERSONA = "  - input: Who are you?\n    contains: [captain, pirate]\n    variables: {name: Captain Vex}\n"
WRONG = "  - input: What is 2 plus 3?\n    contains: six\n    form: json\n"
NOTICE = "no Hermes 3 model here; answering with the 8 MB demo model. Get the real one: hermes pull\n"
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Makes presets of the user's own, with temperature 0."""
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path / "config"))
    folder = tmp_path / "config" / "prompts"
    folder.mkdir(parents=True)

    def written(name: str, examples: str, body: str = "", front: str = "sampling: {temperature: 0}") -> None:
        listed = f"examples:\n{examples}" if examples else ""
        (folder / f"{name}.md").write_text(f"---\ndescription: d\n{front}\n{listed}---\n{body}\n")

    return written


def test_right_examples_give_0_and_the_model_is_named(hermes: Hermes, write: Write) -> None:
    write("sums", SUM)
    write("pirate", PERSONA, "You are {{name}}, a pirate.", "sampling: {temperature: 0}\nvariables: {name:}")
    result = hermes("presets", "test", "sums", "pirate", "sums", "-m", "demo")
    assert (result.code, result.out.decode()) == (
        0,
        "model: Hermes demo model, seed 1\nsums    1/1  100%\npirate  1/1  100%\nall     2/2  100%\n",
    )
    assert hermes("presets", "test", "sums").err == NOTICE


def test_a_wrong_answer_is_shown_with_what_is_wrong_and_gives_1(hermes: Hermes, write: Write) -> None:
    write("sums", SUM + WRONG)
    result = hermes("presets", "test", "sums", "-m", "demo")
    assert (result.code, result.out.decode().splitlines()[1:]) == (
        1,
        [
            "sums  1/2  50%",
            '  example 2: the answer does not contain "six" and is not JSON and nothing else',
            "    2 plus 3 is 5.",
            "all   1/2  50%",
        ],
    )


def test_json_has_every_answer(hermes: Hermes, write: Write) -> None:
    write("sums", SUM + WRONG)
    result = hermes("presets", "test", "--json", "sums", "-m", "demo")
    told = json.loads(result.out)
    assert result.code == 1
    assert (told["model"], told["seed"], told["passed"], told["total"]) == ("Hermes demo model", 1, 1, 2)
    (preset,) = told["presets"]
    assert (preset["name"], preset["passed"], preset["total"]) == ("sums", 1, 2)
    assert preset["examples"] == [
        {"input": "What is 2 plus 3?", "variables": {}, "answer": "2 plus 3 is 5.", "passed": passed, "faults": faults}
        for passed, faults in ((True, []), (False, ['does not contain "six"', "is not JSON and nothing else"]))
    ]


def test_the_same_model_gives_the_same_answers(hermes: Hermes, write: Write) -> None:
    """At a temperature where no two answers by chance would be alike."""
    write("babble", "  - {input: Tell me about the sea., not_contains: xyzzy}\n" * 2, "", "sampling: {temperature: 5}")
    once, again = (json.loads(hermes("presets", "test", "babble", "-m", "demo", "--json").out) for _ in range(2))
    answers = [each["answer"] for each in once["presets"][0]["examples"]]
    assert once == again
    assert answers[0] == answers[1] != ""


def test_without_a_name_all_are_tested_and_a_broken_one_counts_against_it(hermes: Hermes, write: Write) -> None:
    for file in (Path(__file__).parents[2] / "prompts").glob("*.md"):
        write(file.stem, SUM)
    write("silent", "")
    result = hermes("presets", "test", "-m", "demo")
    assert (result.code, result.err) == (0, "without examples: silent\n")
    assert result.out.decode().splitlines()[-1].split()[-1] == "100%"
    write("silent", "  - {input: x}\n")
    result = hermes("presets", "test", "-m", "demo")
    assert result.code == 1 and result.err.startswith("left out: the preset ")
    assert "says nothing of the answer in example 1" in result.err and result.err.count("\n") == 1


def test_the_bundled_ones_are_asked_and_the_demo_model_is_no_hermes_3(hermes: Hermes, write: Write) -> None:
    result = hermes("presets", "test", "default", "shell", "-m", "demo")
    rows = [line.split() for line in result.out.decode().splitlines() if not line.startswith((" ", "model"))]
    assert result.code == 1
    assert [row[0] for row in rows] == ["default", "shell", "all"] and rows[0][1] == "1/1"


def test_tools_and_schema_of_a_preset_are_used(hermes: Hermes, write: Write, tmp_path: Path) -> None:
    (tmp_path / "config" / "prompts" / "weather.py").write_text(TOOLS)
    front = "sampling: {temperature: 0}\n"
    write("sky", "  - {input: 'What is the weather in Rome?', contains: clear}\n", front=f"{front}tools: weather.py")
    write("people", "  - {input: Mira is 31 years old., form: json, contains: Mira}\n", front=f"{front}schema: name")
    result = hermes("presets", "test", "sky", "people", "-m", "demo", "--yes")
    assert (result.code, result.err) == (0, 'get_weather(city="Rome") → "clear"\n'), result
    assert result.out.decode().splitlines()[1:] == ["sky     1/1  100%", "people  1/1  100%", "all     2/2  100%"]
    assert "declined" in hermes("presets", "test", "sky", "-m", "demo").err


def test_what_cannot_be_tested_is_told(hermes: Hermes, write: Write) -> None:
    write("silent", "")
    assert_failed(hermes("presets", "test", "silent"), 2, "the preset silent has no examples")
    assert_failed(hermes("presets", "test", "silnt"), 2, "there is no preset silnt")
    write("silent", "  - {input: x, contains: y, variables: {z: 1}}\n")
    assert_failed(hermes("presets", "test", "silent"), 2, "has no variable z, which example 1 fills")
    write("sums", SUM)
    assert_failed(hermes("presets", "test", "sums", "-m", "nowhere"), 3, "there is no model nowhere here")


def test_a_question_longer_than_the_window_is_a_wrong_answer(
    hermes: Hermes, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("long", SUM + f"  - {{input: {'word ' * 500}, contains: word}}\n" + SUM)
    monkeypatch.setenv("HERMES_CLI_CTX", "128")
    result = hermes("presets", "test", "long", "-m", "demo")
    assert (result.code, result.out.decode().splitlines()[1]) == (1, "long  2/3  67%")
    assert "example 2: the answer could not be given: the prompt has" in result.out.decode()


def test_an_answer_without_an_end_is_cut(
    hermes: Hermes, write: Write, endless_path: Path, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("sums", SUM)
    monkeypatch.setenv("HERMES_CLI_CTX", "2048")
    told = json.loads(hermes("presets", "test", "sums", "-m", endless_path, "--json").out)
    answer = told["presets"][0]["examples"][0]["answer"]
    assert 900 < backend.count_tokens((Message("assistant", answer),)) < 1100


def test_ctrl_c_ends_it_at_once(start: Start, write: Write, endless_path: Path) -> None:
    write("sums", SUM * 500)
    child = start("presets", "test", "sums", "-m", endless_path)
    assert child.stdout and child.stdout.readline().startswith(b"model: ")
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 130
    assert child.communicate() == (b"", b"")


def test_an_answer_cannot_harm_the_terminal(on_terminal: OnTerminal, write: Write, hostile_path: Path) -> None:
    write("sums", WRONG, "", "sampling: {max_tokens: 20}")
    child = on_terminal("presets", "test", "sums", "-m", hostile_path)
    assert exit_code(child) == 1
    assert child.before and "\u241b[31m" in child.before and "\x1b[31m" not in child.before
