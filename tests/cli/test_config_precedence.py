"""Defaults < config.toml < HERMES_CLI_* < preset < options, tested on the real program."""

import itertools
import json
from pathlib import Path
from typing import Protocol

import pytest

from tests.cli.conftest import assert_failed
from tests.conftest import Hermes, Result

LEVELS = ("config", "environment", "preset", "option")
SUM = "What is 2 plus 3?"
SUM_ANSWER = b"2 plus 3 is 5.\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of config.toml and presets; children see it, this process does not."""
    folder = tmp_path / "config"
    (folder / "prompts").mkdir(parents=True)
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(folder))
    return folder


Levels = dict[str, str]


class Ask(Protocol):
    """Runs `ask` with settings at some levels, given as text."""

    def __call__(self, *arguments: str | Path, **settings: Levels) -> Result: ...


@pytest.fixture
def ask(hermes: Hermes, config: Path) -> Ask:
    """`ask` with a preset, a config.toml and an environment made from what is given."""

    def run(*arguments: str | Path, **settings: Levels) -> Result:
        def at(level: str) -> list[tuple[str, str]]:
            return [(name, values[level]) for name, values in settings.items() if level in values]

        text = "".join(f"{name} = {value}\n" for name, value in at("config"))
        (config / "config.toml").write_text(text)
        lines = [
            f"{name}: {value}" if name == "model" else f"sampling: {{{name}: {value}}}" for name, value in at("preset")
        ]
        (config / "prompts" / "mine.md").write_text("\n".join(["---", "description: mine", *lines, "---\n"]))
        options = [word for name, value in at("option") for word in (f"--{name.replace('_', '-')}", value)]
        preset = ["-p", "mine"] if lines else []
        env = {f"HERMES_CLI_{name.upper()}": value for name, value in at("environment")}
        return hermes("ask", *arguments, *preset, *options, env=env)

    return run


PAIRS = pytest.mark.parametrize(("weak", "strong"), list(itertools.pairwise(LEVELS)))


@PAIRS
def test_precedence_of_a_text(ask: Ask, weak: str, strong: str) -> None:
    texts = {level: f'"from-{level}"' if level == "config" else f"from-{level}" for level in (weak, strong)}
    result = ask("--dry-run", "Hi", model=texts)
    assert_failed(result, 3, f"there is no local model from-{strong}")
    assert ("(in HERMES_CLI_MODEL)" in result.err) == (strong == "environment")


def test_a_text_in_the_file_alone(ask: Ask, config: Path) -> None:
    result = ask("--dry-run", "Hi", model={"config": '"from-config"'})
    assert_failed(result, 3, f"there is no local model from-config (in {config / 'config.toml'})")


@PAIRS
def test_precedence_of_a_number(ask: Ask, weak: str, strong: str) -> None:
    """At 0 the demo model adds correctly, at 100 it writes noise; 0 does not count as not set."""
    result = ask("-m", "demo", "--seed", "1", "-n", "40", SUM, temperature={weak: "100", strong: "0"})
    assert result.out == SUM_ANSWER


def test_a_number_in_the_file_alone(ask: Ask) -> None:
    babble = ask("-m", "demo", "--seed", "1", "-n", "40", SUM, temperature={"config": "100"})
    assert babble.code == 0 and babble.out != SUM_ANSWER


LADDER: dict[str, Levels] = {
    "max_tokens": {"config": "2", "environment": "4", "preset": "6", "option": "8"},
    "ctx": {"config": "256", "environment": "512", "option": "768"},
    "color": {"config": '"always"', "environment": "never", "option": "always"},
}


@pytest.mark.parametrize("height", range(1, len(LEVELS) + 1), ids=LEVELS)
def test_a_whole_number_a_choice_and_how_a_model_is_opened(ask: Ask, endless_path: Path, height: int) -> None:
    """Each level overrides those before it; a preset cannot set the context length and colours."""
    given = {
        name: {level: value for level, value in values.items() if level in LEVELS[:height]}
        for name, values in LADDER.items()
    }
    tokens, window, color = (list(values.values())[-1] for values in given.values())
    result = ask("-m", endless_path, "--json", "-v", "Hi", **given)
    assert json.loads(result.out)["usage"]["completion_tokens"] == int(tokens)
    assert f"· ctx {window} ·" in result.err
    assert ("\x1b[2m" in result.err) == ("always" in color)


def test_the_preset_of_the_settings_is_used_where_the_command_names_none(hermes: Hermes, config: Path) -> None:
    for name in ("one", "two", "three"):
        text = f"---\ndescription: d\nsampling: {{max_tokens: 3}}\n---\nI am {name}.\n"
        (config / "prompts" / f"{name}.md").write_text(text)
    (config / "config.toml").write_text('preset = "one"\nmodel = "demo"\n')

    def system(*arguments: str, env: str | None = None) -> str:
        result = hermes("ask", "--dry-run", "--json", *arguments, "Hi", env={"HERMES_CLI_PRESET": env})
        text: str = json.loads(result.out)["prompt"]
        return text.partition("<|im_start|>user")[0]

    assert "I am one." in system()
    assert "I am two." in system(env="two")
    assert "I am three." in system("-p", "three", env="two")
    assert "I am one." not in system("-s", "I am myself.") and "I am myself." in system("-s", "I am myself.")
    assert "system" not in system("-p", "default")
    answer = json.loads(hermes("ask", "--json", "Tell me about the sea.").out)
    assert answer["usage"]["completion_tokens"] <= 3


def test_a_preset_of_the_settings_that_cannot_be_used_names_where_it_is_set(hermes: Hermes, config: Path) -> None:
    (config / "config.toml").write_text('preset = "interviewer"\nmodel = "demo"\n')
    ask = ("ask", "--dry-run", "--json", "Hi")
    where = f"(the preset is set in {config / 'config.toml'})"
    assert_failed(hermes(*ask), 2, "the preset interviewer needs a value for role", where)
    assert "this position: cook" in json.loads(hermes(*ask, "--var", "role=cook").out)["prompt"]
    env = {"HERMES_CLI_PRESET": "codr"}
    assert_failed(hermes(*ask, env=env), 2, "there is no preset codr (the preset is set in HERMES_CLI_PRESET)")
    assert hermes(*ask, "-p", "coder", env=env).code == 0


@pytest.mark.parametrize(
    ("text", "variable", "options", "saved"),
    [
        ("save = false\n", None, [], False),
        ("save = false\n", "on", [], True),
        ("save = false\n", "on", ["--no-save"], False),
    ],
)
def test_precedence_of_a_switch(
    hermes: Hermes, config: Path, tmp_path: Path, text: str, variable: str | None, options: list[str], saved: bool
) -> None:
    (config / "config.toml").write_text(text)
    env = {"HERMES_CLI_SAVE": variable, "HERMES_CLI_DATA_DIR": str(tmp_path / "data")}
    assert hermes("ask", "-m", "demo", "-t", "0", *options, SUM, env=env).out == SUM_ANSWER
    assert bool(list(tmp_path.glob("data/sessions/*.jsonl"))) == saved


def test_a_session_is_named_in_one_way_only(hermes: Hermes, config: Path) -> None:
    result = hermes("ask", "-m", "demo", "-c", "--session", "x", "Hi")
    assert_failed(result, 2, "--continue and --session cannot be used together")
    assert_failed(hermes("ask", "-m", "demo", "--session", " ", "Hi"), 2, "--session is empty")


def test_values_that_a_preset_in_a_chat_does_not_set_come_from_options_and_settings(
    hermes: Hermes, config: Path
) -> None:
    """Also if the chat began with another preset."""
    (config / "config.toml").write_text("temperature = 0.25\n")
    (config / "prompts" / "mine.md").write_text("---\ndescription: mine\nsampling: {temperature: 2, top_k: 3}\n---\n")
    typed = f"/show\n/preset default\n/show\n{SUM}\n/preset mine\n"
    for begun in ("-p mine", "-c"):
        shown = hermes("chat", "-m", "demo", "-n", "7", *begun.split(), stdin=typed)
        rows = [line.split() for line in shown.err.splitlines()]
        values = [row[1] for row in rows if row and row[0] in ("temperature", "top_k", "max_tokens")]
        assert values == ["2", "3", "7", "0.25", "50", "7"]


def test_a_template_or_endpoint_that_cannot_be_used_names_where_it_is_set(hermes: Hermes, config: Path) -> None:
    missing = "cannot read the template /missing.jinja: not a file"
    (config / "config.toml").write_text('template = "/missing.jinja"\n')
    where = f"{missing} (template is set in {config / 'config.toml'})"
    for command in (("ask", "Hi"), ("ask", "--dry-run", "Hi"), ("chat",)):
        assert_failed(hermes(*command, "-m", "demo", stdin="Hi\n"), 2, where)
    env: dict[str, str | None] = {"HERMES_CLI_TEMPLATE": "/missing.jinja"}
    assert_failed(hermes("ask", "-m", "demo", "Hi", env=env), 2, f"{missing} (template is set in HERMES_CLI_TEMPLATE)")
    given = hermes("ask", "-m", "demo", "--template", "/missing.jinja", "Hi")
    assert_failed(given, 2, missing)
    assert "is set in" not in given.err
    (config / "config.toml").write_text('[models.demo]\ntemplate = "/missing.jinja"\n')
    assert_failed(hermes("ask", "-m", "demo", "Hi"), 2, f"{missing} (template is set in models.demo in {config}")
    env = {"HERMES_CLI_ENDPOINT": "http://127.0.0.1:9"}
    assert_failed(hermes("ask", "Hi", env=env), 3, "(endpoint is set in HERMES_CLI_ENDPOINT)")
