"""`hermes bench`: figures of the real program, settings that are remembered, and calm ends."""

import json
import signal
from pathlib import Path

import pytest

from hermes_cli.engine.llama import library
from tests.cli.conftest import OnScreen, OnTerminal, Start, assert_failed, exit_code
from tests.conftest import Hermes, child_environment

DEMO = ("bench", "-m", "demo")


@pytest.fixture
def cache(tmp_path: Path) -> dict[str, str]:
    """A cache folder that remembers nothing yet."""
    return {"HERMES_CLI_CACHE_DIR": str(tmp_path / "cache")}


def test_a_table_reports_how_it_reads_and_writes_and_llama_cpp_alone(hermes: Hermes) -> None:
    lines = hermes(*DEMO, "--prompt", "128", "--prompt", "400").out.decode().splitlines()
    assert lines[0].startswith("Hermes demo model · ") and " · ctx 4.1k · " in lines[0]
    assert lines[1].startswith("loaded in ") and "first token after" in lines[1]
    assert lines[2].split("  ")[0].strip() == "tokens" and "llama.cpp alone" in lines[2]
    rows = [[float(cell.replace(",", "")) for cell in line.split()] for line in lines[3:]]
    assert [len(row) for row in rows] == [5, 5] and all(speed > 0 for row in rows for speed in row)
    assert 100 <= rows[0][0] <= 200 and 350 <= rows[1][0] <= 450


def test_json_has_the_settings_too(hermes: Hermes) -> None:
    facts = json.loads(hermes(*DEMO, "--prompt", "128", "--json", "--threads", "1", "--kv-type", "q8_0").out)
    assert (facts["settings"]["threads"], facts["settings"]["kv_type"]) == (1, "q8_0")
    assert facts["context_length"] == 4096 and facts["first_token_s"] > 0
    assert set(facts["prompts"][0]) == {"prompt_tokens", "read", "write", "bare_read", "bare_write"}


def test_what_tuning_finds_is_reported_used_and_forgotten(hermes: Hermes, cache: dict[str, str]) -> None:
    tuned = json.loads(hermes(*DEMO, "--tune", "--json", env=cache).out)
    assert len(tuned["trials"]) > 3 and tuned["tuned"]["model"] == "hermes-demo"
    settings = json.loads(hermes(*DEMO, "--prompt", "128", "--json", env=cache).out)["settings"]
    for name in ("threads", "kv_type", "batch_tokens", "extra_buffers"):
        assert settings[name] == tuned["tuned"][name]
    report = hermes("doctor", env=cache).out.decode()
    assert f"hermes-demo: {tuned['tuned']['threads']} thread" in report and tuned["tuned"]["measured"] in report
    assert hermes(*DEMO, "--reset", env=cache).err == "hermes-demo: removed the tuned settings\n"
    assert hermes(*DEMO, "--reset", env=cache).err == "hermes-demo: there are no tuned settings\n"
    assert "hermes-demo" not in hermes("doctor", env=cache).out.decode()


def test_a_prompt_that_does_not_fit_is_an_error(hermes: Hermes) -> None:
    assert_failed(hermes(*DEMO, "--prompt", "4090"), 2, "--prompt 4090 does not fit into the context")
    assert_failed(hermes(*DEMO, "--prompt", "64", "--prompt", "4090"), 2, "--prompt 4090 does not fit")
    assert_failed(hermes(*DEMO, "--ctx", "128"), 2, "--prompt 128 does not fit into the context")
    assert_failed(hermes(*DEMO, "--tune", "--reset"), 2, "--tune cannot be used with")


def test_a_gpu_that_was_asked_for_and_is_not_there_is_reported(hermes: Hermes, cache: dict[str, str]) -> None:
    if library.supports_gpu():
        pytest.skip("there is a GPU")
    for options in (("--prompt", "64"), ("--tune", "--json")):
        report = hermes(*DEMO, "--gpu-layers", "all", *options, env=cache).err
        assert report.startswith("the GPU is not used: this build of llama.cpp finds none\n")


def test_prompts_that_come_out_alike_are_one_row(hermes: Hermes) -> None:
    rows = json.loads(hermes(*DEMO, "--prompt", "128", "--prompt", "129", "--json").out)["prompts"]
    assert len(rows) == 1 and rows[0]["bare_read"] > 0


def test_ctrl_c_ends_it(on_terminal: OnTerminal, wide_path: Path) -> None:
    child = on_terminal("bench", "-m", wide_path, "--ctx", "32768", "--prompt", "30000")
    child.expect("measuring a prompt of 30.0k tokens")
    child.sendintr()
    assert exit_code(child) == 130


def test_ctrl_c_in_a_search_leaves_no_line_behind(on_screen: OnScreen) -> None:
    screen = on_screen(*DEMO, "--tune")
    screen.shows("current settings ")
    screen.shows("measuring")
    screen.type("\x03")
    assert screen.ended() == 130
    assert "measuring" not in screen.text


def test_ctrl_c_in_a_search_keeps_what_an_earlier_one_found(
    start: Start, hermes: Hermes, cache: dict[str, str], tmp_path: Path
) -> None:
    assert hermes(*DEMO, "--tune", "--json", env=cache).code == 0
    kept = (tmp_path / "cache" / "tuning.json").read_bytes()
    child = start(*DEMO, "--tune", env=child_environment(cache))
    assert child.stderr and child.stderr.readline().startswith(b"current settings ")
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=30) == 130
    assert (tmp_path / "cache" / "tuning.json").read_bytes() == kept
