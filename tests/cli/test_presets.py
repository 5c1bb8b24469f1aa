"""`hermes presets` and `-p`: the real program, with a folder of presets of each test's own."""

import json
import shlex
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hermes_cli import paths
from hermes_cli.chat.sampling import Sampling
from hermes_cli.session.choices import Choices, Layers
from hermes_cli.session.sources import from_preset
from hermes_cli.store.presets.presets import find_preset
from tests.cli.conftest import OnTerminal, assert_failed, exit_code
from tests.conftest import Hermes, Result, child_environment

PRESET_MODULES = {"yaml", "hermes_cli.store.presets.presets"}
MINE = "---\ndescription: mine\nmodel: demo\nsampling: {temperature: 0.3, max_tokens: 7}\n---\nSay less.\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of presets, not made yet; children see it, this process does not."""
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path / "config" / "prompts"


@pytest.fixture
def mine(own: Path) -> Path:
    """A preset of the user's own, `mine`."""
    own.mkdir(parents=True)
    file = own / "mine.md"
    file.write_text(MINE)
    return file


def modes(*files: Path) -> list[int]:
    return [stat.S_IMODE(file.stat().st_mode) for file in files]


def prompt(result: Result) -> str:
    """The prompt of `ask --dry-run --json`."""
    assert result.code == 0, result
    text: str = json.loads(result.out)["prompt"]
    return text


def editor(tmp_path: Path, script: str) -> Mapping[str, str]:
    """EDITOR set to a program that runs `script` with the file as `path`."""
    program = tmp_path / "an editor.py"
    program.write_text(f"import sys, pathlib\npath = pathlib.Path(sys.argv[-1])\n{script}\n")
    return {"EDITOR": f"{sys.executable} {shlex.quote(str(program))}", "VISUAL": ""}


def test_list_is_one_line_each_in_a_pipe(hermes: Hermes, mine: Path) -> None:
    rows = [line.split("\t") for line in hermes("presets", "list").out.decode().splitlines()]
    assert ["mine", "own", "mine"] in rows
    assert ["json", "bundled", "Answer with one JSON value and nothing else"] in rows
    assert rows == sorted(rows)
    assert hermes("presets").out == hermes("presets", "list").out


def test_list_as_json(hermes: Hermes, mine: Path) -> None:
    listed = json.loads(hermes("presets", "list", "--json").out)
    assert {"name": "mine", "origin": "own", "description": "mine", "path": str(mine)} in listed
    piped = [line.split("\t") for line in hermes("presets", "list").out.decode().splitlines()]
    assert [[each["name"], each["origin"], each["description"]] for each in listed] == piped


def test_list_is_a_table_on_a_terminal(on_terminal: OnTerminal, mine: Path) -> None:
    mine.write_text('---\ndescription: "red \\e[31m"\n---\n')
    child = on_terminal("presets", "list")
    child.expect("mine +own      red \u241b\\[31m\r\n")
    assert exit_code(child) == 0


def test_list_leaves_out_what_cannot_be_used_and_says_so(hermes: Hermes, mine: Path) -> None:
    mine.write_text("broken")
    result = hermes("presets", "list")
    assert result.code == 0
    assert b"mine\t" not in result.out and b"json\t" in result.out
    assert result.err.startswith(f"skipped: the preset {mine} has no front matter")
    assert len(result.err.splitlines()) == 1


def test_show_prints_the_file(hermes: Hermes, own: Path) -> None:
    assert hermes("presets", "show", "json").out == (paths.bundled_prompts_folder() / "json.md").read_bytes()
    assert_failed(hermes("presets", "show", "jsno"), 2, "there is no preset jsno")
    assert_failed(hermes("presets", "show", "../../etc/passwd"), 2, "is not a valid preset name")


def test_show_says_that_a_preset_replaces_a_bundled_one(hermes: Hermes, own: Path) -> None:
    assert hermes("presets", "show", "coder").err == ""
    own.mkdir(parents=True)
    (own / "coder.md").write_text(MINE)
    shown = hermes("presets", "show", "coder")
    assert shown.out == MINE.encode()
    assert shown.err == "coder replaces the bundled preset of that name; to undo: hermes presets rm coder\n"


ANSWERS_YES = '---\ndescription: yes\nmodel: demo\ngrammar: |\n  root ::= answer\n  answer ::= "yes"\n---\n'
ANSWERS_NO = "---\ndescription: no\nmodel: demo\ngrammar: no.gbnf\n---\n"


def test_a_preset_has_a_grammar_that_options_replace(hermes: Hermes, own: Path, tmp_path: Path) -> None:
    own.mkdir(parents=True)
    (own / "agree.md").write_text(ANSWERS_YES)
    (own / "refuse.md").write_text(ANSWERS_NO)
    (own / "person.md").write_text("---\ndescription: d\nmodel: demo\nschema: name, age int\n---\n")
    (own / "no.gbnf").write_text('root ::= "no"')
    assert hermes("ask", "-p", "agree", "Is it?").out == b"yes\n"
    assert hermes("ask", "-p", "refuse", "Is it?").out == b"no\n"
    assert hermes("ask", "-p", "agree", "--grammar", own / "no.gbnf", "Is it?").out == b"no\n"
    assert hermes("ask", "-p", "person", "--grammar", own / "no.gbnf", "Is it?").out == b"no\n"
    assert json.loads(hermes("ask", "-p", "agree", "--schema", "sum int", "What is 2 plus 3?").out).keys() == {"sum"}
    lines = "Is it?\n/preset refuse\nIs it?\n/preset person\nMy name is Ana.\n/preset agree\nIs it?\n/preset -\nHi\n"
    chat = hermes("chat", "--no-save", "-p", "agree", stdin=lines.encode())
    assert "preset agree removed" in chat.err
    said = chat.out.decode().splitlines()
    assert [said[0], said[1], said[3]] == ["yes", "no", "yes"]
    assert json.loads(said[2]).keys() == {"name", "age"}
    assert said[4:] not in (["yes"], [])
    data = {"HERMES_CLI_DATA_DIR": str(tmp_path / "data")}
    hermes("ask", "-p", "agree", "Is it?", env=data)
    assert hermes("ask", "-c", "Is it?", env=data).out == b"yes\n"


@pytest.mark.parametrize(
    ("front", "fault"),
    [
        ("grammar: missing.gbnf", "cannot read the grammar"),
        ("grammar: 'root ::= \"a'", "line 1: unexpected end of input"),
        ("grammar: a.gbnf\nschema: name", "cannot be combined with tools or a schema"),
        ("grammar: a.gbnf\ntools: calculate", "cannot be combined with tools or a schema"),
        ("grammar: [a, b]", "grammar"),
    ],
)
def test_a_grammar_that_cannot_be_used_is_named(hermes: Hermes, own: Path, front: str, fault: str) -> None:
    own.mkdir(parents=True)
    (own / "mine.md").write_text(f"---\ndescription: d\nmodel: demo\n{front}\n---\n")
    assert_failed(hermes("ask", "-p", "mine", "Hello"), 2, fault)


def test_path_prints_the_folder(hermes: Hermes, own: Path) -> None:
    assert hermes("presets", "path").out.decode() == f"{own}\n"


def test_new_writes_a_template_that_works(hermes: Hermes, own: Path) -> None:
    file = own / "fresh.md"
    assert hermes("presets", "new", "fresh").out.decode() == f"{file}\n"
    assert modes(file, own, own.parent) == [0o600, 0o700, 0o700]
    assert "You are a helpful assistant." in prompt(
        hermes("ask", "-m", "demo", "-p", "fresh", "--dry-run", "--json", "hi")
    )
    assert_failed(hermes("presets", "new", "fresh"), 2, "already exists")
    assert_failed(hermes("presets", "new", "../fresh"), 2, "is not a valid preset name")


def test_every_comment_of_the_template_is_true(hermes: Hermes, own: Path) -> None:
    hermes("presets", "new", "fresh")
    file = own / "fresh.md"
    lines = file.read_text().splitlines()
    settings = [line.removeprefix("# ") if line.startswith("# ") and ":" in line else line for line in lines]
    text = "\n".join(line for line in settings if not line.startswith(("#", "model")))
    file.write_text(f"{text} For {{{{reader}}}}, in {{{{language}}}}.\n")
    asked = hermes("ask", "-m", "demo", "-p", "fresh", "--var", "reader=me", "--dry-run", "--json", "hi")
    assert prompt(asked).count("For me, in English.") == 1


def test_new_from_another_is_a_copy(hermes: Hermes, own: Path) -> None:
    hermes("presets", "new", "mine", "--from", "coder")
    assert (own / "mine.md").read_bytes() == (paths.bundled_prompts_folder() / "coder.md").read_bytes()
    assert_failed(hermes("presets", "new", "other", "--from", "nothing"), 2, "there is no preset nothing")
    assert not (own / "other.md").exists()


def test_new_opens_the_editor_on_a_terminal(on_terminal: OnTerminal, own: Path, tmp_path: Path) -> None:
    child = on_terminal("presets", "new", "fresh", **editor(tmp_path, f"path.write_text({MINE!r})"))
    assert exit_code(child) == 0
    assert (own / "fresh.md").read_text() == MINE


def test_edit_copies_a_bundled_preset_first(hermes: Hermes, own: Path, tmp_path: Path) -> None:
    changes = editor(tmp_path, 'path.write_text(path.read_text().replace("---\\n", "---\\nmodel: demo\\n", 1))')
    assert hermes("presets", "edit", "json", env=changes).code == 0
    assert modes(own / "json.md", own) == [0o600, 0o700]
    bundled = (paths.bundled_prompts_folder() / "json.md").read_text()
    assert (own / "json.md").read_text() == bundled.replace("---\n", "---\nmodel: demo\n", 1)
    assert "model:" not in bundled


def test_edit_without_a_change_leaves_no_copy(hermes: Hermes, own: Path, tmp_path: Path) -> None:
    result = hermes("presets", "edit", "json", env=editor(tmp_path, "pass"))
    assert (result.code, result.err) == (0, "not changed; json is still the bundled preset\n")
    assert not (own / "json.md").exists()


def test_edit_without_an_editor_names_only_a_file_that_exists(hermes: Hermes, own: Path, mine: Path) -> None:
    none = {"EDITOR": "", "VISUAL": ""}
    assert f"change the file yourself: {mine}\n" in hermes("presets", "edit", "mine", env=none).err
    result = hermes("presets", "edit", "json", env=none)
    assert_failed(result, 2, "no editor found")
    assert result.err.endswith("hint: set EDITOR, for example: export EDITOR=nano\n")
    assert not (own / "json.md").exists()


def test_edit_checks_what_was_written(hermes: Hermes, mine: Path, tmp_path: Path) -> None:
    result = hermes("presets", "edit", "mine", env=editor(tmp_path, 'path.write_text("oops")'))
    assert_failed(result, 2, "has no front matter")
    assert "hermes presets edit mine" in result.err
    assert mine.read_text() == "oops"
    assert hermes("presets", "edit", "mine", env=editor(tmp_path, f"path.write_text({MINE!r})")).code == 0


def test_edit_reports_a_failing_editor(hermes: Hermes, mine: Path, tmp_path: Path) -> None:
    assert_failed(hermes("presets", "edit", "mine", env={"EDITOR": "", "VISUAL": ""}), 2, "no editor found")
    assert_failed(hermes("presets", "edit", "mine", env={"EDITOR": "no-such-editor"}), 2, "cannot start the editor")
    assert_failed(hermes("presets", "edit", "mine", env={"EDITOR": "'"}), 2, "cannot start the editor")
    assert_failed(hermes("presets", "edit", "mine", env=editor(tmp_path, "sys.exit(3)")), 1, "ended with code 3")
    assert mine.read_text() == MINE


def test_rm_removes_only_the_users_own(hermes: Hermes, mine: Path) -> None:
    assert_failed(hermes("presets", "rm", "mine"), 2, "cannot ask for confirmation: stdin is not a terminal")
    assert mine.exists()
    assert hermes("presets", "rm", "mine", "--yes").code == 0
    assert not mine.exists()
    assert_failed(hermes("presets", "rm", "--yes", "mine"), 2, "there is no preset mine")
    assert_failed(hermes("presets", "rm", "--yes", "json"), 2, "json is bundled and cannot be removed")
    assert_failed(hermes("presets", "rm", "--yes", "../mine"), 2, "is not a valid preset name")


def test_rm_of_a_link_leaves_what_it_points_to(hermes: Hermes, own: Path, tmp_path: Path) -> None:
    own.mkdir(parents=True)
    (tmp_path / "kept.md").write_text(MINE)
    (own / "link.md").symlink_to(tmp_path / "kept.md")
    (own / "folder.md").mkdir()
    assert hermes("presets", "rm", "--yes", "link").code == 0
    assert (tmp_path / "kept.md").exists() and not (own / "link.md").is_symlink()
    assert_failed(hermes("presets", "rm", "--yes", "folder"), 1, "cannot remove")


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, True), ("", 1, True), ("y", 0, False)])
def test_rm_asks_on_a_terminal(on_terminal: OnTerminal, mine: Path, answer: str, code: int, left: bool) -> None:
    child = on_terminal("presets", "rm", "mine")
    child.expect_exact("[y/N]")
    child.sendline(answer)
    assert exit_code(child) == code
    assert mine.exists() == left


def test_a_preset_works_in_a_pipe(hermes: Hermes, own: Path) -> None:
    result = hermes("ask", "-m", "demo", "-p", "summarise", "--dry-run", stdin="A long text.\n")
    text = result.out.decode()
    assert "tokens" in result.err
    assert text.startswith("<|im_start|>system\nSummarise the text") and "{{" not in text
    assert text.endswith("<|im_start|>user\nA long text.<|im_end|>\n<|im_start|>assistant\n\n")


def test_the_default_preset_applies_without_another(hermes: Hermes, own: Path) -> None:
    plain = hermes("ask", "-m", "demo", "--dry-run", "--json", "hi")
    assert hermes("ask", "-m", "demo", "--dry-run", "--json", "-p", "default", "hi").out == plain.out
    assert "system" not in prompt(plain)


def test_variables_come_from_the_command_line(hermes: Hermes, own: Path) -> None:
    ask = ("ask", "-m", "demo", "--dry-run", "--json", "hi")
    assert "into English." in prompt(hermes(*ask, "-p", "translate"))
    assert "into a=b c." in prompt(
        hermes(*ask, "-p", "translate", "--var", "language=French", "--var", "language=a=b c")
    )
    assert_failed(hermes(*ask, "-p", "interviewer"), 2, "needs a value for role")
    assert_failed(hermes(*ask, "-p", "translate", "--var", "lang=x"), 2, "has no variable lang")
    assert_failed(hermes(*ask, "-p", "translate", "--var", "language"), 2, "language is not NAME=VALUE")
    assert_failed(hermes(*ask, "--var", "language=x"), 2, "--var needs a preset with variables")
    assert_failed(
        hermes(*ask, "-p", "translate", "-s", "x", "--var", "language=x"), 2, "--var needs a preset with variables"
    )


TOOLS = '''
def get_weather(city: str) -> str:
    """Get the weather of a city.

    Args:
        city: The name of the city.
    """
    return "clear"
'''


def test_tools_and_schema_of_a_preset_hold_in_its_session_and_until_options_name_others(
    hermes: Hermes, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERMES_CLI_DATA_DIR", str(tmp_path / "data"))
    (mine.parent / "weather.py").write_text(TOOLS)
    mine.write_text("---\ndescription: d\ntools: weather.py\nsampling: {temperature: 0}\n---\n")
    ask = ("ask", "-m", "demo")
    assert "get_weather" in prompt(hermes(*ask, "-p", "mine", "--dry-run", "--json", "Hi"))
    other = prompt(hermes(*ask, "-p", "mine", "--tools", "calculate", "--dry-run", "--json", "Hi"))
    assert "calculate" in other and "get_weather" not in other
    first = hermes(*ask, "-p", "mine", "--yes", "What is the weather in Rome?")
    assert (first.code, first.err) == (0, 'get_weather(city="Rome") → "clear"\n')
    assert hermes(*ask, "-c", "--yes", "What is the weather in Oslo?").err == 'get_weather(city="Oslo") → "clear"\n'
    assert "<tools>" not in prompt(hermes(*ask, "-c", "-s", "Be brief.", "--dry-run", "--json", "Hi"))
    mine.write_text("---\ndescription: d\nschema: name, age int\n---\n")
    assert json.loads(hermes(*ask, "-c", "Mira is 31 years old.").out).keys() == {"name", "age"}
    mine.unlink()
    gone = hermes(*ask, "-c", "--dry-run", "--json", "Hi")
    assert gone.err.startswith("there is no preset mine; the session continues") and gone.err.count("\n") == 1
    assert "name" not in prompt(gone).partition("<|im_start|>user")[0]
    assert_failed(hermes(*ask, "-p", "default", "--tool-choice", "required", "Hi"), 2, "--tool-choice needs tools")


def test_a_marker_in_a_value_is_only_text(hermes: Hermes, own: Path) -> None:
    result = hermes("ask", "-m", "demo", "--dry-run", "--json", "-p", "translate", "--var", "language=<|im_end|>", "hi")
    assert result.err == "<|im_end|> in the prompt: read as plain text, not as a marker\n"
    segments = json.loads(result.out)["segments"]
    assert [part["text"] for part in segments if part["special"]].count("<|im_end|>") == 2
    assert "into <|im_end|>." in segments[1]["text"]


def test_the_users_preset_wins_and_the_given_system_prompt_wins_over_both(hermes: Hermes, mine: Path) -> None:
    mine.rename(mine.with_name("coder.md"))
    ask = ("ask", "--dry-run", "--json", "-p", "coder", "hi")
    assert "<|im_start|>system\nSay less.<|im_end|>" in prompt(hermes(*ask))
    assert "<|im_start|>system\nSay more.<|im_end|>" in prompt(hermes(*ask, "-s", "Say more."))


def test_the_presets_model_goes_before_the_environment_and_after_the_flag(hermes: Hermes, mine: Path) -> None:
    """`mine` names the demo model, so nothing has to be said about a fallback to it."""
    ask = ("ask", "--dry-run", "--json", "-p", "mine", "hi")
    assert prompt(hermes(*ask, env={"HERMES_CLI_MODEL": "nowhere"}))
    assert_failed(hermes(*ask, "-m", "nowhere"), 3, "nowhere")


def test_a_broken_preset_is_an_error_of_one_line(hermes: Hermes, mine: Path) -> None:
    mine.write_text("---\ndescription: d\nsampling:\n  temprature: 1\n---\n")
    result = hermes("ask", "-p", "mine", "--dry-run", "hi")
    assert_failed(result, 2, "unknown key temprature in sampling; did you mean temperature?")
    assert_failed(hermes("chat", "-p", "mine", stdin="hi\n"), 2, "unknown key temprature")
    assert_failed(hermes("ask", "-p", "sumarise", "hi"), 2, "there is no preset sumarise")


GIVEN: dict[str, tuple[Choices, dict[str, Any]]] = {
    "nothing": (Choices(), {"sampling": Sampling(temperature=0.1, repeat_penalty=1.0), "max_tokens": 300}),
    "a zero": (Choices(sampling=Sampling(temperature=0)), {"sampling": Sampling(temperature=0, repeat_penalty=1)}),
    "a limit": (Choices(max_tokens=5), {"max_tokens": 5}),
    "the rest": (Choices(sampling=Sampling(seed=1)), {"sampling": Sampling(0.1, None, None, None, 1.0, 1)}),
    "a prompt": (Choices(system_prompt=""), {"system_prompt": "", "max_tokens": 300}),
    "a model": (Choices(model="x", stop=("a",)), {"model": "x", "stop": ("a",)}),
}


@pytest.mark.parametrize(("flags", "expected"), GIVEN.values(), ids=GIVEN.keys())
def test_options_override_the_preset(flags: Choices, expected: dict[str, Any]) -> None:
    merged = Layers(flags).with_preset(from_preset(find_preset("shell"), {})).now
    assert {key: getattr(merged, key) for key in expected} == expected


def test_the_presets_limit_ends_a_real_answer(hermes: Hermes, mine: Path) -> None:
    answer = json.loads(hermes("ask", "-p", "mine", "--json", "Tell me about the sea.").out)
    assert answer["usage"]["completion_tokens"] <= 7
    shorter = json.loads(hermes("ask", "-p", "mine", "-n", "1", "--json", "Tell me about the sea.").out)
    assert (shorter["usage"]["completion_tokens"], shorter["finish_reason"]) == (1, "length")


@pytest.mark.parametrize("arguments", [["--help"], ["presets", "--help"], ["presets", "path"], ["ask", "--help"]])
def test_what_needs_no_preset_reads_none(arguments: list[str], own: Path) -> None:
    """Start-up time matters for every command."""
    assert not loaded(arguments) & PRESET_MODULES


def test_ask_without_a_preset_does_not_load_yaml(own: Path) -> None:
    assert not loaded(["ask", "-m", "demo", "--dry-run", "hi"]) & PRESET_MODULES
    assert loaded(["ask", "-m", "demo", "--dry-run", "-p", "json", "hi"]) >= PRESET_MODULES


def loaded(arguments: list[str]) -> set[str]:
    """The modules that a run of the program has imported at its end."""
    code = (
        "import atexit, os, sys\n"
        "atexit.register(lambda: os.write(2, ('\\n@' + ' '.join(sys.modules)).encode()))\n"
        "from hermes_cli.cli.main import main\nsys.exit(main())"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=child_environment()
    )
    return set(child.stderr.rpartition("@")[2].split())


def test_group_accepts_the_options_of_list(hermes: Hermes) -> None:
    assert hermes("presets", "--json").out == hermes("presets", "list", "--json").out
    assert_failed(hermes("presets", "--json", "show", "json"), 2, "must come after the command")


def test_likely_mistakes_in_a_preset_are_reported(hermes: Hermes, own: Path) -> None:
    own.mkdir(parents=True)
    (own / "mine.md").write_text("---\ndescription: mine\nvariables:\n  city: Rome\n---\n{{city}} {{citty}}\n")
    assert "has no variable citty" in hermes("presets").err
    result = hermes("presets", "new", "coder")
    assert "coder replaces the bundled preset of that name" in result.err
    listed = hermes("presets")
    assert ["coder", "own, replaces bundled"] in [line.split("\t")[:2] for line in listed.out.decode().splitlines()]
    assert "citty" in listed.err
