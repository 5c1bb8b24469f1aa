"""`hermes bench`: figures of the real program, saved settings, and clean exits."""

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hermes_cli import __version__, paths
from hermes_cli.cli.bench.bench import CacheType
from hermes_cli.engine.llama import library
from hermes_cli.kv_types import KV_TYPES
from tests.cli.conftest import OnScreen, OnTerminal, Start, assert_failed, exit_code
from tests.conftest import Hermes, child_environment

DEMO = ("bench", "-m", "demo")
TUNE = (*DEMO, "--tune", "--time", "2")


@pytest.fixture
def cache(tmp_path: Path) -> dict[str, str]:
    """An empty cache folder."""
    return {"HERMES_CLI_CACHE_DIR": str(tmp_path / "cache")}


def test_table_shows_prompt_and_generation_speed_and_llama_cpp_alone(hermes: Hermes) -> None:
    lines = hermes(*DEMO, "--prompt", "128", "--prompt", "400").out.decode().splitlines()
    assert lines[0].startswith("Hermes demo model · ") and " · ctx 4.1k · " in lines[0]
    assert lines[1].startswith("loaded in ") and "first token after" in lines[1] and "MB of memory" in lines[1]
    assert lines[2].split("  ")[0].strip() == "tokens" and "llama.cpp alone" in lines[2]
    rows = [[float(cell.replace(",", "")) for cell in line.split()] for line in lines[3:]]
    columns = 5 + ("J/token" in lines[2])
    assert [len(row) for row in rows] == [columns] * 2 and all(speed > 0 for row in rows for speed in row)
    assert 100 <= rows[0][0] <= 200 and 350 <= rows[1][0] <= 450


MEASURE = """
import os, time
from hermes_cli import paths
from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.bench.run import measured
from hermes_cli.engine.load_options import LoadOptions
measured(paths.DEMO_MODEL, LoadOptions(threads=2), [64], CancelToken())
until = time.monotonic() + 10
while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < until:
    time.sleep(0.01)
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads in /proc")
def test_no_worker_threads_are_left_for_the_next_model() -> None:
    """With more OpenMP threads in the process than cores they stop spinning: generation is several times slower."""
    child = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, env=child_environment({}), check=True)
    assert child.stdout.decode().splitlines()[-1] == "1"


def test_json_has_the_settings_too(hermes: Hermes) -> None:
    result = json.loads(hermes(*DEMO, "--prompt", "128", "--json", "--threads", "1", "--kv-type", "q8_0").out)
    (facts,) = result["runs"]
    assert result["version"] == __version__ and result["date"]
    assert (facts["settings"]["threads"], facts["settings"]["kv_type"]) == (1, "q8_0")
    assert facts["context_length"] == 4096 and facts["first_token_s"] > 0
    assert facts["process_bytes"] > 20e6
    numbers = {"prompt_tokens", "read", "write", "bare_read", "bare_write", "joules_per_token"}
    assert set(facts["prompts"][0]) == numbers


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON of a run of two settings."""
    file = tmp_path_factory.mktemp("bench") / "earlier.json"
    environment = child_environment({})
    command = [sys.executable, "-m", "hermes_cli", *DEMO, "--prompt", "64", "--threads", "1", "--kv-type", "f16"]
    command += ["--kv-type", "q8_0", "--format", "json"]
    with file.open("wb") as out:
        subprocess.run(command, stdout=out, env=environment, check=True)
    return file


def test_every_combination_is_measured_in_one_table(hermes: Hermes, two_runs: Path) -> None:
    runs = json.loads(two_runs.read_text())["runs"]
    assert [run["settings"]["kv_type"] for run in runs] == ["f16", "q8_0"]
    options = ("--prompt", "64", "--threads", "1", "--kv-type", "f16", "--kv-type", "q8_0")
    rows = list(csv.DictReader(hermes(*DEMO, *options, "--format", "csv").out.decode().splitlines()))
    assert [row["settings"] for row in rows] == ["1 thread, f16", "1 thread, q8_0"]
    assert all(float(row["generation tok/s"]) > 0 and float(row["MB"]) > 20 for row in rows)
    head, line, first, second = hermes(*DEMO, *options, "--format", "markdown").out.decode().splitlines()
    assert head.startswith("| model | settings | MB | tokens |") and set(line) == set("| -")
    assert "| 1 thread, f16 |" in first and "| 1 thread, q8_0 |" in second


def test_a_run_is_compared_with_an_earlier_one(hermes: Hermes, two_runs: Path) -> None:
    options = (*DEMO, "--prompt", "64", "--threads", "1", "--kv-type", "q8_0", "--compare", two_runs)
    (row,) = csv.DictReader(hermes(*options, "--format", "csv").out.decode().splitlines())
    assert float(row["prompt / earlier"]) > 0 and float(row["generation / earlier"]) > 0
    other = hermes(*DEMO, "--prompt", "128", "--threads", "1", "--compare", two_runs)
    assert other.code == 0 and "has no row with the same model, settings and prompt length" in other.err
    assert "/ earlier" not in other.out.decode()


def test_a_file_to_compare_with_must_be_a_result(hermes: Hermes, tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"runs": [1]}', '{"runs": [{"settings": {}}]}'):
        (tmp_path / "earlier.json").write_text(text)
        assert_failed(hermes(*DEMO, "--compare", tmp_path / "earlier.json"), 2, "is not a result of hermes bench")
    assert_failed(hermes(*DEMO, "--compare", tmp_path / "none.json"), 2, "cannot read")


@pytest.mark.parametrize("speed", ["1" + "0" * 400, "-1.0", "NaN", "Infinity", '"5"'])
def test_the_speeds_to_compare_with_must_be_numbers(hermes: Hermes, two_runs: Path, tmp_path: Path, speed: str) -> None:
    file = tmp_path / "earlier.json"
    file.write_text(re.sub(r'"read": [\d.]+', f'"read": {speed}', two_runs.read_text()))
    assert_failed(hermes(*DEMO, "--compare", file), 2, "is not a result of hermes bench")


def test_a_run_that_fails_loses_none_of_those_before_it(hermes: Hermes, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(paths.DEMO_MODEL.read_bytes()[:100_000])
    result = hermes(*DEMO, "-m", cut, "--prompt", "64", "--threads", "1", "--json")
    assert result.code == 3 and "is cut short" in result.err
    assert len(json.loads(result.out)["runs"]) == 1


def test_what_tuning_finds_is_reported_used_and_forgotten(hermes: Hermes, cache: dict[str, str]) -> None:
    tuned = json.loads(hermes(*TUNE, "--json", env=cache).out)
    assert len(tuned["trials"]) > 3 and tuned["tuned"]["model"] == "hermes-demo"
    settings = json.loads(hermes(*DEMO, "--prompt", "128", "--json", env=cache).out)["runs"][0]["settings"]
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
    assert_failed(hermes(*DEMO, "--tune", "--kv-type", "f16", "--kv-type", "q8_0"), 2, "take one model")
    assert_failed(hermes(*DEMO, "--json", "--format", "csv"), 2, "cannot be used together")
    assert_failed(hermes(*DEMO, "--time", "5"), 2, "--time sets the time for --tune")


def test_requested_gpu_that_is_missing_is_reported(hermes: Hermes, cache: dict[str, str]) -> None:
    if library.supports_gpu():
        pytest.skip("there is a GPU")
    for options in (("--prompt", "64"), ("--tune", "--time", "1", "--json")):
        report = hermes(*DEMO, "--gpu-layers", "all", *options, env=cache).err
        assert report.startswith("the GPU is not used: this build of llama.cpp finds none\n")


def test_prompts_of_equal_length_are_one_row(hermes: Hermes) -> None:
    rows = json.loads(hermes(*DEMO, "--prompt", "128", "--prompt", "129", "--json").out)["runs"][0]["prompts"]
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
    assert hermes(*TUNE, "--json", env=cache).code == 0
    kept = (tmp_path / "cache" / "tuning.json").read_bytes()
    child = start(*DEMO, "--tune", env=child_environment(cache))
    assert child.stderr and child.stderr.readline().startswith(b"current settings ")
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=30) == 130
    assert (tmp_path / "cache" / "tuning.json").read_bytes() == kept


def test_every_type_of_the_cache_can_be_measured(hermes: Hermes) -> None:
    assert tuple(CacheType) == KV_TYPES
    options = ("--prompt", "64", "--threads", "1", "--kv-type", "q4_0", "--kv-type", "bf16", "--format", "csv")
    rows = csv.DictReader(hermes(*DEMO, *options).out.decode().splitlines())
    assert [row["settings"] for row in rows] == ["1 thread, q4_0", "1 thread, bf16"]
