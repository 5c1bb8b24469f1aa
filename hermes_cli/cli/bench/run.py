"""Measuring prompts of several lengths, llama.cpp alone for comparison, and the search of --tune."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hermes_cli.backend import BackendInfo
from hermes_cli.chat.events import Finished
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest, Sampling
from hermes_cli.engine.llama.context import DecodeAborted
from hermes_cli.engine.load_options import LoadOptions, LoadSettings
from hermes_cli.engine.loading import make_context, make_model
from hermes_cli.engine.local import LocalBackend, open_backend
from hermes_cli.errors import LoadCancelled, UsageError
from hermes_cli.machine.load_plan import plan_load, this_machine
from hermes_cli.machine.measure import SAMPLE_TEXT, generation_speed, prompt_seconds, sample_tokens
from hermes_cli.machine.tuner import Trial, Tuner
from hermes_cli.machine.tuning import Tuned
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.turn_view import plan_line, print_loaded, thousands

_LENGTHS = (128, 512, 2048, 8192)
_WRITTEN = 64
_BUDGET_S = 60.0
_SEEDS = range(1, 9)  # a model that ends its answers early is asked again
_TASK = Message("user", "Tell me a very long story about the sea, with many ships and storms.")


@dataclass(frozen=True, slots=True)
class Row:
    """Prompt processing and generation in tokens per second at this prompt length; `bare_*`: llama.cpp alone."""

    prompt_tokens: int
    read: float
    write: float
    bare_read: float = 0.0
    bare_write: float = 0.0


def measured(
    path: Path, requested: LoadOptions, lengths: Sequence[int] | None, cancel: CancelToken, as_json: bool
) -> str:
    """The report on prompts of these lengths, by default 128 to 8192 tokens. Raises LoadCancelled, HermesError."""
    plan = plan_load(path, requested, lambda: not cancel.cancelled)
    status = console.StatusLine()
    try:
        status.show(f"loading {path.stem}")
        with open_backend(path, *plan.attempts, cancel=cancel, notes=plan.notes, advice=plan.advice) as backend:
            info, used = backend.info, backend.settings
            status.erase()
            print_loaded(info, verbose=False)
            first_s = _asked(backend, (Message("user", "Hello, who are you?"),), 1, cancel).timings.first_token_s
            if used.gpu_layers:  # a GPU loads its kernels on first use
                _asked(backend, (Message("user", SAMPLE_TEXT * min(20, info.context_length // 64)),), 1, cancel)
            rows = list(_rows(backend, lengths, cancel, status))
        rows = list(_with_bare(path, used, rows, cancel, status))
    finally:
        status.erase()
    if as_json:
        facts = {**asdict(info), "first_token_s": first_s, "settings": asdict(used), "prompts": list(map(asdict, rows))}
        return json.dumps(facts, indent=2) + "\n"
    return _table(info, first_s, rows)


def _rows(
    backend: LocalBackend, lengths: Sequence[int] | None, cancel: CancelToken, status: console.StatusLine
) -> Iterator[Row]:
    """The speed of hermes: each prompt extends the one before, so only the new tokens are processed."""
    until = time.monotonic() + _BUDGET_S / 2  # the other half is for llama.cpp alone
    row: Row | None = None
    for length in _fitting(lengths, backend.info.context_length - 2 * _WRITTEN):
        before = row.prompt_tokens if row else 0
        if row and not lengths and time.monotonic() + (length - before) / row.read + _WRITTEN / row.write > until:
            console.notice(f"skipped, as it would take long here: --prompt {length}")
            return
        status.show(f"measuring a prompt of {thousands(length)} tokens")
        row = _row(backend, length, cancel)
        if row.prompt_tokens > before:  # prompts are made of whole sentences and may be equal
            yield row


def _fitting(lengths: Sequence[int] | None, longest: int) -> list[int]:
    """The lengths to measure, sorted. Raises UsageError for a requested one that is too long."""
    wanted = sorted(set(lengths or _LENGTHS))
    if longest < (wanted[-1] if lengths else wanted[0]):
        hint = (
            f"use at most {longest}, or a longer context with --ctx" if longest >= 64 else "use a longer context: --ctx"
        )
        raise UsageError(f"--prompt {wanted[-1] if lengths else wanted[0]} does not fit into the context", hint)
    return [length for length in wanted if length <= longest]


def _row(backend: LocalBackend, length: int, cancel: CancelToken) -> Row:
    words = backend.count_tokens((Message("user", SAMPLE_TEXT * 8),)) - backend.count_tokens((Message("user", ""),))
    filler = Message("system", SAMPLE_TEXT * max(1, round(8 * (length - backend.count_tokens((_TASK,))) / words)))
    first = _asked(backend, (filler, _TASK), _WRITTEN, cancel)
    read = (first.usage.prompt_tokens - first.usage.cached_tokens) / first.timings.prefill_s
    written, seconds = first.usage.completion_tokens - 1, first.timings.decode_s
    for seed in _SEEDS:
        if written >= _WRITTEN // 2:
            break
        more = _asked(backend, (filler, _TASK), _WRITTEN, cancel, seed)
        written, seconds = written + more.usage.completion_tokens - 1, seconds + more.timings.decode_s
    return Row(first.usage.prompt_tokens, read, written / seconds if seconds else 0.0)


def _asked(
    backend: LocalBackend, messages: tuple[Message, ...], tokens: int, cancel: CancelToken, seed: int = 0
) -> Finished:
    """The end of a generation. Raises LoadCancelled if it was stopped."""
    request = GenerationRequest(messages, Sampling(seed=seed), max_tokens=tokens)
    *_, finished = backend.generate(request, cancel)
    assert isinstance(finished, Finished), "a backend ends every generation with Finished"
    if finished.reason == "cancelled":
        raise LoadCancelled("measuring was stopped", "run the command again")
    return finished


def _with_bare(
    path: Path, used: LoadSettings, rows: Sequence[Row], cancel: CancelToken, status: console.StatusLine
) -> Iterator[Row]:
    """The rows with the speed of llama.cpp alone, by the same settings and lengths."""
    with (
        closing(make_model(path, used, lambda _: not cancel.cancelled)) as model,
        closing(make_context(model, used)) as context,
        cancel.calling(context.abort),
    ):
        for row in rows:
            status.show(f"measuring llama.cpp alone, {thousands(row.prompt_tokens)} tokens")
            new = row.prompt_tokens - context.position()
            try:
                seconds = prompt_seconds(context, sample_tokens(model, new))
                write = generation_speed(context, model.eos or 0, _WRITTEN)
                context.keep(row.prompt_tokens)
            except DecodeAborted:
                raise LoadCancelled("measuring was stopped", "run the command again") from None
            yield replace(row, bare_read=new / seconds, bare_write=write)


def _table(info: BackendInfo, first_s: float, rows: Sequence[Row]) -> str:
    """The report for people."""
    cells: list[tuple[str, ...]] = [
        ("tokens", "prompt tok/s", "generation tok/s", "llama.cpp alone: prompt", "generation")
    ]
    for row in rows:
        speeds = (row.read, row.write, row.bare_read, row.bare_write)
        cells.append((f"{row.prompt_tokens:,}", *(f"{speed:,.1f}" for speed in speeds)))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells)
    return (
        f"{info.model_name} · {info.description} · {plan_line(info)}\n"
        f"loaded in {info.load_s:.2f} s · first token after {first_s:.2f} s\n" + "".join(f"{line}\n" for line in lines)
    )


def tuned(path: Path, requested: LoadOptions, cancel: CancelToken, as_json: bool) -> str:
    """Try settings, print each trial, and return a report on what was saved. Raises LoadCancelled."""
    plan = plan_load(path, requested, lambda: not cancel.cancelled, use_tuned=False)
    for note in plan.notes:
        console.notice(note)
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
        with closing(Tuner(path, plan.attempts[0], requested, cancel, add)) as tuner:
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
    mark = "  kept" if trial.kept else ""
    return f"{trial.setting:<22} prompt {trial.speed.read:>8,.1f}  generation {trial.speed.write:>7,.1f} tok/s{mark}"


def tuned_line(tuned: Tuned) -> str:
    """The tuned settings of a model and what they gain, on one line."""
    flash = {None: "", True: ", flash attention on", False: ", flash attention off"}[tuned.flash_attention]
    return (
        f"{tuned.model}: {tuned.threads} thread{'s' * (tuned.threads != 1)}{flash}, cache {tuned.kv_type}, "
        f"batches of {tuned.batch_tokens}, weights {'' if tuned.extra_buffers else 'not '}repacked; "
        f"{tuned.read_before:,.1f} -> {tuned.read:,.1f} tok/s prompt, "
        f"{tuned.write_before:,.1f} -> {tuned.write:,.1f} generation"
    )
