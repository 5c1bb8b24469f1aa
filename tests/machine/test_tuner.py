"""Measuring and saving settings, on the demo model."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.chat.request import CancelToken
from hermes_cli.engine.load_options import LoadOptions
from hermes_cli.errors import LoadCancelled
from hermes_cli.machine import probe, tuning
from hermes_cli.machine.load_plan import plan_load
from hermes_cli.machine.tuner import Trial, Tuner
from hermes_cli.machine.tuning import Tuned
from tests.conftest import Script

ON_CPU = LoadOptions(gpu_layers=0)  # the same on every machine
FOUND = Tuned("a model", 1, "q8_0", 512, None, False, 100.0, 10.0, 200.0, 20.0, "2026-11-28")


@pytest.fixture
def nothing_remembered() -> Iterator[Path]:
    """The file of what was measured, not there before and after."""
    paths.tuning_file().unlink(missing_ok=True)
    yield paths.tuning_file()
    paths.tuning_file().unlink(missing_ok=True)


def tune(path: Path, cancel: CancelToken, trials: list[Trial], options: LoadOptions, budget_s: float) -> Tuned:
    """What a search finds, beginning with what is usual here."""
    base = plan_load(path, options).attempts[0]
    with closing(Tuner(path, base, options, cancel, trials.append, budget_s)) as tuner:
        return tuner.tune(may_repack=probe.verdict().extra_buffers)


def test_settings_are_tried_and_the_best_is_used_by_the_next_load(demo_path: Path, nothing_remembered: Path) -> None:
    trials: list[Trial] = []
    found = tune(demo_path, CancelToken(), trials, ON_CPU, 10)
    assert trials[0].setting == "current settings" and trials[0].kept
    settings_named = [trial.setting for trial in trials]
    assert {"flash attention on", "cache q8_0"} <= set(settings_named)
    assert any(name.startswith("batches of ") for name in settings_named)
    speeds = [trial.speed for trial in trials if trial.speed]  # a busy machine has no time for some
    assert speeds and all(speed.read > 0 and speed.write > 0 for speed in speeds)
    assert tuning.remembered(demo_path, on_gpu=False) == found
    chosen = plan_load(demo_path, ON_CPU).attempts[0]
    settings = (chosen.threads, chosen.kv_type, chosen.batch_tokens, chosen.extra_buffers)
    assert settings == (found.threads, found.kv_type, found.batch_tokens, found.extra_buffers)


def test_without_time_all_changes_are_skipped_and_the_settings_stay(demo_path: Path, nothing_remembered: Path) -> None:
    trials: list[Trial] = []
    options = replace(ON_CPU, threads=1, kv_type="f16")
    found = tune(demo_path, CancelToken(), trials, options, 0)
    assert [trial.setting for trial in trials if trial.speed] == ["current settings"]
    assert not any("thread" in trial.setting or "cache" in trial.setting for trial in trials), "the user decided"
    assert (found.threads, found.kv_type, found.batch_tokens) == (1, "f16", 256)


def test_a_cache_that_is_planned_is_not_tried_again(demo_path: Path, nothing_remembered: Path) -> None:
    trials: list[Trial] = []
    base = plan_load(demo_path, replace(ON_CPU, kv_type="q8_0")).attempts[0]
    with closing(Tuner(demo_path, base, ON_CPU, CancelToken(), trials.append, 0)) as tuner:
        tuner.tune(may_repack=False)
    assert len(trials) > 1 and "cache q8_0" not in [trial.setting for trial in trials]


BOUND = """
import os
from contextlib import closing
from hermes_cli import paths
from hermes_cli.chat.request import CancelToken
from hermes_cli.engine.load_options import LoadOptions
from hermes_cli.machine.load_plan import plan_load
from hermes_cli.machine.tuner import Tuner
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
options = LoadOptions(gpu_layers=0)
base = plan_load(paths.DEMO_MODEL, options).attempts[0]
with closing(Tuner(paths.DEMO_MODEL, base, options, CancelToken(), lambda trial: print(trial.setting), 0)) as tuner:
    tuner.tune(may_repack=False)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processes bound to cores")
def test_more_threads_than_cores_are_not_tried(script: Script, tmp_path: Path) -> None:
    settings = script(BOUND, env={"HERMES_CLI_CACHE_DIR": str(tmp_path)}).out.decode().splitlines()
    assert settings[0] == "current settings" and not any("thread" in setting for setting in settings)


@pytest.mark.parametrize("budget_s", [10, 0])
def test_stop_ends_the_search_and_saves_nothing(demo_path: Path, nothing_remembered: Path, budget_s: float) -> None:
    cancel = CancelToken()
    trials: list[Trial] = []

    class Stopping(list[Trial]):
        def append(self, trial: Trial) -> None:
            super().append(trial)
            cancel.cancel("interrupt")

    trials = Stopping()
    with pytest.raises(LoadCancelled):
        tune(demo_path, cancel, trials, LoadOptions(), budget_s)
    assert len(trials) == 1 and not nothing_remembered.exists()


def test_options_take_precedence_over_what_was_measured(demo_path: Path, nothing_remembered: Path) -> None:
    tuning.remember(demo_path, FOUND, on_gpu=False)
    chosen = plan_load(demo_path, LoadOptions(threads=2, gpu_layers=0)).attempts[0]
    assert (chosen.threads, chosen.kv_type, chosen.batch_tokens) == (2, "q8_0", 512)
    chosen = plan_load(demo_path, LoadOptions(kv_type="f16", gpu_layers=0)).attempts[0]
    assert (chosen.threads, chosen.kv_type) == (1, "f16")


def test_another_file_is_another_model(demo_path: Path, tmp_path: Path, nothing_remembered: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(demo_path.read_bytes())
    tuning.remember(copy, FOUND, on_gpu=False)
    assert tuning.remembered(copy, on_gpu=False) == FOUND
    assert tuning.remembered(demo_path, on_gpu=False) is None and tuning.remembered(copy, on_gpu=True) is None
    os.utime(copy, (1, 1))
    assert tuning.remembered(copy, on_gpu=False) is None
    assert tuning.all_remembered() == [FOUND]


def test_tuned_settings_can_be_removed(demo_path: Path, nothing_remembered: Path) -> None:
    tuning.remember(demo_path, FOUND, on_gpu=False)
    assert tuning.forget(demo_path)
    assert not tuning.forget(demo_path) and tuning.all_remembered() == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": 1}', '{"a": {"threads": -1}}', json.dumps({"a": {"threads": 10**9}})]
)
def test_invalid_tuning_file_counts_as_empty(demo_path: Path, nothing_remembered: Path, text: str) -> None:
    nothing_remembered.write_text(text)
    assert tuning.remembered(demo_path, on_gpu=False) is None and tuning.all_remembered() == []
    tuning.remember(demo_path, FOUND, on_gpu=False)
    assert tuning.remembered(demo_path, on_gpu=False) == FOUND
