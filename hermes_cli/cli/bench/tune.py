"""The search of --tune: each trial is printed, and the fastest settings are saved."""

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from hermes_cli.chat.request import CancelToken
from hermes_cli.engine.load_options import LoadOptions
from hermes_cli.machine.load_plan import plan_load, this_machine
from hermes_cli.machine.tuner import Trial, Tuner
from hermes_cli.machine.tuning import Tuned
from hermes_cli.terminal import console


def tuned(path: Path, requested: LoadOptions, cancel: CancelToken, budget_s: float | None, *, as_json: bool) -> str:
    """Try settings, print each trial, and return a report on what was saved. Raises LoadCancelled."""
    plan = plan_load(path, requested, lambda: not cancel.cancelled, use_tuned=False)
    console.notice(*plan.notes)
    trials: list[Trial] = []
    status = console.StatusLine()

    def add(trial: Trial) -> None:
        status.erase()
        trials.append(trial)
        if not as_json:
            console.lines(_trial_line(trial))
        status.show("measuring")

    try:
        status.show(f"loading {path.stem}")
        with closing(Tuner(path, plan.attempts[0], requested, cancel, add, budget_s)) as tuner:
            found = tuner.tune(may_repack=this_machine().may_repack)
    finally:
        status.erase()
    if as_json:
        facts = {"tuned": asdict(found), "trials": [asdict(trial) for trial in trials]}
        return json.dumps(facts, indent=2) + "\n"
    return f"{tuned_line(found)}\nsaved for this model; to remove it: hermes bench --reset\n"


def _trial_line(trial: Trial) -> str:
    if trial.speed is None:
        return f"{trial.setting:<22} skipped: not enough time or memory"
    load = f"  load {trial.speed.load_s:.1f} s" if trial.loaded else ""
    mark = "  kept" if trial.kept else ""
    speeds = f"prompt {trial.speed.read:>8,.1f}  generation {trial.speed.write:>7,.1f} tok/s"
    return f"{trial.setting:<22} {speeds}{load}{mark}"


def tuned_line(tuned: Tuned) -> str:
    """The tuned settings of a model and what they gain, on one line."""
    flash = {None: "", True: ", flash attention on", False: ", flash attention off"}[tuned.flash_attention]
    return (
        f"{tuned.model}: {tuned.threads} thread{'s' * (tuned.threads != 1)}{flash}, cache {tuned.kv_type}, "
        f"batches of {tuned.batch_tokens}, weights {'' if tuned.extra_buffers else 'not '}repacked; "
        f"{tuned.read_before:,.1f} -> {tuned.read:,.1f} tok/s prompt, "
        f"{tuned.write_before:,.1f} -> {tuned.write:,.1f} generation"
    )
