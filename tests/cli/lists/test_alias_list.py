"""Aliases and defaults of models: `hermes models alias` and the `[models.NAME]` tables of config.toml."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import assert_failed
from tests.conftest import Hermes
from tests.lora import write_adapter

SUM = "What is 2 plus 3?"
NOUS_8B = "hf:NousResearch/Hermes-3-Llama-3.1-8B-GGUF:Q5_K_M"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config.toml that children see."""
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path))
    return tmp_path / "config.toml"


def test_an_alias_is_added_listed_changed_and_removed(hermes: Hermes, config: Path, endless_path: Path) -> None:
    config.write_text("# mine\ntop_k = 7\n")
    assert hermes("models", "alias", "tiny", "demo").code == 0
    assert hermes("models", "alias", "big", NOUS_8B).code == 0
    assert hermes("models", "alias").out.decode() == f"big\t{NOUS_8B}\ntiny\tdemo\n"
    assert (
        config.read_text()
        == f'# mine\ntop_k = 7\n\n[models.tiny]\nmodel = "demo"\n\n[models.big]\nmodel = "{NOUS_8B}"\n'
    )
    assert hermes("models", "alias", "TINY", str(endless_path)).code == 0
    assert hermes("models", "alias", "Tiny").out.decode() == f"{endless_path}\n"
    for name in ("big", "TINY"):
        assert hermes("models", "alias", "--rm", name).code == 0
    assert config.read_text().rstrip() == "# mine\ntop_k = 7" and hermes("models", "alias").out == b""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("demo", "8b"), 2, "demo is already in use and cannot be an alias"),
        (("work", "demo"), 2, "work is already in use and cannot be an alias"),
        (("a/b", "demo"), 2, "a/b is not a name for an alias"),
        (("tiny", "Tiny"), 2, "the alias tiny would refer to itself"),
        (("tiny", "other"), 2, "the alias tiny would refer to itself"),
        (("new", "nowhere"), 3, "there is no local model nowhere"),
        (("new",), 2, "there is no alias new"),
        (("--rm", "new"), 2, "there is no alias new"),
        (("--rm",), 2, "--rm takes one alias"),
    ],
)
def test_invalid_alias_changes_nothing(
    hermes: Hermes, config: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    text = '[models.tiny]\nmodel = "demo"\n[models.other]\nmodel = "tiny"\n[endpoints.work]\nurl = "http://x.example"\n'
    config.write_text(text)
    assert_failed(hermes("models", "alias", *words), code, message)
    assert config.read_text() == text


def test_it_is_used_wherever_a_model_is_named(hermes: Hermes, config: Path) -> None:
    config.write_text('model = "mine"\n[models.mine]\nmodel = "tiny"\n[models.tiny]\nmodel = "demo"\n')
    for words in (("ask", "-t", "0"), ("ask", "-t", "0", "-m", "MINE"), ("ask", "-t", "0", "-m", "local/tiny")):
        assert hermes(*words, SUM).out == b"2 plus 3 is 5.\n"
    assert json.loads(hermes("models", "show", "mine", "--json").out)["name"] == "demo"
    assert json.loads(hermes("models", "inspect", "mine", "--json").out)["name"] == "demo"
    assert hermes("models", "path", "tiny").out.endswith(b"hermes-demo.gguf\n")
    assert hermes("chat", "-m", "demo", "-t", "0", stdin=f"/model tiny\n{SUM}\n").err.startswith(
        "model changed to tiny"
    )
    pulled = hermes("pull", "mine")
    assert pulled.out.endswith(b"hermes-demo.gguf\n") and "is part of the program" in pulled.err


def test_an_alias_of_a_file_on_the_hub_is_pulled_and_found(hermes: Hermes, config: Path, tmp_path: Path) -> None:
    config.write_text(f'[models.big]\nmodel = "{NOUS_8B}"\n')
    missing = hermes("ask", "-m", "big", "Hi", env={"HERMES_CLI_DATA_DIR": str(tmp_path)})
    assert_failed(missing, 3, f"{NOUS_8B} is not downloaded")
    assert f"hermes pull {NOUS_8B}" in missing.err


def test_aliases_in_a_circle_are_one_clear_error(hermes: Hermes, config: Path) -> None:
    config.write_text('[models.a]\nmodel = "b"\n[models.b]\nmodel = "a"\n')
    assert_failed(hermes("ask", "-m", "a", "Hi"), 2, "the alias a refers to itself")
    assert hermes("models", "alias", "--rm", "a").code == 0


def test_with_an_endpoint_names_are_those_of_its_server(hermes: Hermes, config: Path) -> None:
    config.write_text('[models.mine]\nmodel = "work/other"\n[endpoints.work]\nurl = "http://127.0.0.1:9"\n')
    assert_failed(hermes("ask", "-m", "mine", "Hi"), 3, "127.0.0.1:9")


def test_completion_and_the_chat_list_them(hermes: Hermes, config: Path) -> None:
    config.write_text('[models.mine]\nmodel = "demo"\n')
    env: dict[str, str | None] = {
        "_HERMES_COMPLETE": "complete_bash",
        "COMP_WORDS": "hermes ask -m mi",
        "COMP_CWORD": "3",
    }
    assert hermes(env=env).out.split() == [b"mine"]


BROKEN = {
    "model = 3": "model must be text",
    "modle = 'demo'": "models.mine has no key modle",
    "temperature = 'hot'": 'temperature cannot be "hot"',
    "lora = 3": "lora must be a list",
    "color = 'always'": "models.mine has no key color",
}


@pytest.mark.parametrize(("line", "message"), BROKEN.items())
def test_a_table_with_a_mistake_is_named(hermes: Hermes, config: Path, line: str, message: str) -> None:
    config.write_text(f"[models.mine]\n{line}\n")
    assert_failed(hermes("ask", "-m", "demo", "Hi"), 2, message, str(config))
    assert hermes("config", "show").err.startswith("skipped: ")


def test_defaults_hold_for_the_model_under_every_name(hermes: Hermes, config: Path, endless_path: Path) -> None:
    config.write_text("[models.demo]\nctx = 512\nmax_tokens = 2\n[models.short]\nmodel = 'demo'\nmax_tokens = 1\n")

    def asked(*words: str | Path) -> tuple[int, bool]:
        result = hermes("ask", "--json", "-v", "-t", "0", *words, SUM)
        return json.loads(result.out)["usage"]["completion_tokens"], " ctx 512 " in result.err

    assert asked() == asked("-m", "demo") == (2, True)
    assert asked("-m", "short") == (1, True), "an alias before what it stands for"
    assert asked("-m", endless_path, "-n", "4") == (4, False)
    assert asked("-n", "3", "--ctx", "256") == (3, False)


def test_bench_and_test_use_the_table_of_their_model(hermes: Hermes, config: Path) -> None:
    config.write_text("endpoint = 'http://127.0.0.1:9'\n[models.demo]\nctx = 512\nmax_tokens = 1\ntemperature = 0\n")
    (run,) = json.loads(hermes("bench", "-m", "demo", "--prompt", "64", "--json").out)["runs"]
    assert run["context_length"] == 512
    cases = config.with_name("cases.yaml")
    cases.write_text(f"- {{prompt: '{SUM}', expect: {{equals: '5'}}}}\n")
    result = json.loads(hermes("test", "-m", "local/demo", "--endpoint", "local", "--json", cases).out)
    assert len(result["cases"][0]["answers"][0]["answer"].split()) <= 1


def test_a_wrong_value_of_a_table_is_named_with_that_table(hermes: Hermes, config: Path) -> None:
    tables = (f"[models.{name}]\nmodel = 'demo'\ntemplate = '/absent/{name}'\n" for name in "ab")
    config.write_text("".join(tables))
    assert_failed(hermes("ask", "-m", "b", "Hi"), 2, "/absent/b", f"template is set in models.b in {config}")


def test_a_model_of_an_endpoint_can_be_the_default(hermes: Hermes, config: Path) -> None:
    config.write_text("[endpoints.work]\nurl = 'http://127.0.0.1:9'\n")
    assert_failed(hermes("config", "set", "model", "wrok/M"), 3, "there is no file wrok/M")
    assert hermes("config", "set", "model", "work/M").code == 0
    facts = json.loads(hermes("doctor", "--json").out)
    assert facts["healthy"] and facts["model"] == {"name": "work/M", "path": None, "problem": None}
    assert "\nmodel             work/M\n" in hermes("doctor").out.decode()


def test_the_doctor_checks_the_adapters_of_the_default_model(hermes: Hermes, config: Path, demo_path: Path) -> None:
    adapter = write_adapter(demo_path, config.parent / "strong.gguf")
    config.write_text("model = 'demo'\n[models.demo]\nlora = ['strong.gguf:0.5']\n")
    assert json.loads(hermes("doctor", "--json").out)["model"]["lora"] == [f"{adapter}:0.5"]
    config.write_text("model = 'demo'\n[models.demo]\nlora = ['missing.gguf']\n")
    assert json.loads(hermes("doctor", "--json").out)["model"]["problem"] == "there is no adapter missing.gguf"


def test_adapters_and_a_preset_of_a_model(hermes: Hermes, config: Path, demo_path: Path) -> None:
    adapter = write_adapter(demo_path, config.parent / "strong.gguf")
    (config.parent / "prompts").mkdir()
    (config.parent / "prompts" / "odd.md").write_text("---\ndescription: d\nmodel: nowhere\n---\nBe odd.\n")
    config.write_text("preset = 'coder'\n[models.demo]\npreset = 'odd'\nlora = ['strong.gguf:0.5']\n")

    def shown(*words: str, **env: str | None) -> tuple[bool, object]:
        facts = json.loads(hermes("ask", "--dry-run", "--json", "-m", "demo", *words, "Hi", env=env).out)
        return "Be odd." in facts["prompt"], facts.get("lora")

    used = [{"path": str(adapter), "scale": 0.5}]
    assert shown() == (True, used)
    assert shown("-p", "default") == (False, used)
    assert shown("-s", "Mine.", "--lora", "none") == (False, None)
    assert shown(HERMES_CLI_PRESET="default") == (False, used)
