"""`--lora` in the commands: answers, sessions, presets, JSON, endpoints and the server."""

import json
from pathlib import Path

import httpx2
import pytest

from hermes_cli.store.sessions.reader import read_session
from tests.cli.conftest import assert_failed
from tests.conftest import Hermes
from tests.lora import write_adapter
from tests.server.running_server import serving

ASK = ("ask", "-m", "demo", "-t", "0", "-n", "12")
QUESTION = "What is 2 plus 3?"
PLAIN = b"2 plus 3 is 5.\n"


@pytest.fixture(scope="module")
def adapter(demo_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter so strong that the answer is another."""
    return write_adapter(demo_path, tmp_path_factory.mktemp("lora") / "strong.gguf")


def test_zero_changes_nothing_and_one_changes_the_answer(hermes: Hermes, adapter: Path) -> None:
    assert hermes(*ASK, "--lora", f"{adapter}:0", QUESTION).out == PLAIN
    result = hermes(*ASK, "-v", "--lora", adapter, QUESTION)
    assert result.out != PLAIN and " · LoRA strong.gguf · " in result.err
    both = json.loads(hermes(*ASK, "--json", "--lora", adapter, "--lora", f"{adapter}:-1", QUESTION).out)
    assert both["answer"] == PLAIN.decode().strip()
    assert both["lora"] == [{"path": str(adapter), "scale": 1.0}, {"path": str(adapter), "scale": -1.0}]


def test_a_wrong_one_is_refused_before_anything_is_loaded(hermes: Hermes, demo_path: Path, tmp_path: Path) -> None:
    wrong = write_adapter(demo_path, tmp_path / "wrong.gguf", architecture="qwen2")
    message = f"the adapter {wrong} cannot be used with demo: it is for qwen2, the model is llama"
    for command in (ASK, (*ASK, "--dry-run"), ("serve", "-m", "demo", "--port", "0")):
        assert_failed(hermes(*command, "--lora", wrong, *(() if "serve" in command else ("Hi",))), 2, message)
    assert_failed(hermes(*ASK, "--lora", tmp_path / "no.gguf", "Hi"), 3, f"there is no adapter {tmp_path}/no.gguf")
    assert_failed(hermes(*ASK, "--lora", "", "Hi"), 2, "--lora is empty")


def test_dry_run_shows_the_adapter(hermes: Hermes, adapter: Path) -> None:
    shown = json.loads(hermes(*ASK, "--dry-run", "--json", "--lora", f"{adapter}:0.5", "Hi").out)
    assert shown["lora"] == [{"path": str(adapter), "scale": 0.5}]
    assert "lora" not in json.loads(hermes(*ASK, "--dry-run", "--json", "Hi").out)


def test_session_keeps_the_adapter_until_another_is_given(hermes: Hermes, adapter: Path, tmp_path: Path) -> None:
    env = {"HERMES_CLI_DATA_DIR": str(tmp_path)}
    strange = hermes(*ASK, "--lora", f"{adapter}:1", QUESTION, env=env).out
    (path,) = tmp_path.glob("sessions/*.jsonl")
    assert read_session(path).settings.lora == (f"{adapter}:1",)

    def used(*options: str) -> object:
        return json.loads(hermes("ask", "-c", "--json", "-n", "1", *options, "Hi", env=env).out).get("lora")

    assert strange != PLAIN
    assert used() == [{"path": str(adapter), "scale": 1.0}]
    assert used("-m", "demo") == [{"path": str(adapter), "scale": 1.0}]
    assert used("--lora", "none") is None
    assert used() is None and read_session(path).settings.lora == ("none",)


def test_the_adapter_of_a_session_is_not_used_with_another_model(
    hermes: Hermes, adapter: Path, endless_path: Path, tmp_path: Path
) -> None:
    env = {"HERMES_CLI_DATA_DIR": str(tmp_path)}
    hermes(*ASK, "--lora", adapter, QUESTION, env=env)
    other = hermes("ask", "-c", "--json", "-n", "1", "-m", endless_path, "Hi", env=env)
    assert "lora" not in json.loads(other.out)


def test_a_chat_changes_the_model_without_the_adapter(
    hermes: Hermes, adapter: Path, endless_path: Path, tmp_path: Path
) -> None:
    env = {"HERMES_CLI_DATA_DIR": str(tmp_path)}
    typed = f"/show\n/preset default\n/show\n/model {endless_path}\n/show\n"
    shown = hermes("chat", "-m", "demo", "-n", "2", "--lora", adapter, stdin=f"Hi\n{typed}", env=env).err
    lines = [line for line in shown.splitlines() if line.startswith("model ") and "ctx" in line]
    assert ["LoRA" in line for line in lines] == [True, True, False]
    (path,) = tmp_path.glob("sessions/*.jsonl")
    assert read_session(path).settings.lora is None


def test_preset_can_name_an_adapter_relative_to_its_file(hermes: Hermes, adapter: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "strong.gguf").write_bytes(adapter.read_bytes())
    (prompts / "odd.md").write_text("---\ndescription: d\nlora: strong.gguf:0.5\n---\nBe odd.\n")
    env = {"HERMES_CLI_CONFIG_DIR": str(tmp_path)}
    shown = json.loads(hermes(*ASK, "--dry-run", "--json", "-p", "odd", "Hi", env=env).out)
    assert shown["lora"] == [{"path": str(prompts / "strong.gguf"), "scale": 0.5}]
    own = json.loads(hermes(*ASK, "--dry-run", "--json", "-p", "odd", "--lora", adapter, "Hi", env=env).out)
    assert own["lora"] == [{"path": str(adapter), "scale": 1.0}]


def test_an_endpoint_loads_its_own(hermes: Hermes, adapter: Path) -> None:
    result = hermes("ask", "--endpoint", "http://127.0.0.1:9", "--lora", adapter, "Hi")
    assert_failed(result, 2, "LoRA adapters cannot be used with an endpoint: its server loads them")


def test_the_server_applies_it(adapter: Path) -> None:
    def answer(lora: str) -> str:
        with serving("--lora", lora) as server:
            body = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 12}
            reply = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json()
            text: str = reply["choices"][0]["message"]["content"]
            return text

    assert answer(f"{adapter}:0") == PLAIN.decode().strip()
    assert answer(str(adapter)) != PLAIN.decode().strip()


def test_bench_measures_with_it_and_compares_only_the_same(hermes: Hermes, adapter: Path, tmp_path: Path) -> None:
    bench = ("bench", "-m", "demo", "--prompt", "64", "--threads", "1")
    file = tmp_path / "run.json"
    file.write_bytes(hermes(*bench, "--lora", f"{adapter}:0.5", "--format", "json").out)
    (run,) = json.loads(file.read_text())["runs"]
    assert run["adapters"] == [[str(adapter), 0.5]]
    assert "/ earlier" in hermes(*bench, "--lora", f"{adapter}:0.5", "--compare", file).out.decode()
    assert "has no row with the same" in hermes(*bench, "--compare", file).err
    assert_failed(hermes(*bench, "--lora", tmp_path / "no.gguf"), 3, f"there is no adapter {tmp_path}/no.gguf")


def test_test_asks_the_model_with_it(hermes: Hermes, adapter: Path, tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text(f"- prompt: {QUESTION}\n  expect: {{equals: {PLAIN.decode().strip()}}}\n")
    assert hermes("test", cases, "-m", "demo").code == 0
    assert hermes("test", cases, "-m", "demo", "--lora", f"{adapter}:0").code == 0
    assert hermes("test", cases, "-m", "demo", "--lora", adapter).code == 1
