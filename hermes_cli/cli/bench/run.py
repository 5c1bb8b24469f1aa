"""Measuring prompts of several lengths, and llama.cpp alone for comparison."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from hermes_cli.backend import BackendInfo
from hermes_cli.chat.events import Finished
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine import hardware
from hermes_cli.engine.llama.context import DecodeAborted
from hermes_cli.engine.load_options import LoadOptions, LoadSettings
from hermes_cli.engine.loading import make_context, make_model
from hermes_cli.engine.local import LocalBackend, open_backend
from hermes_cli.engine.thread import EngineThread
from hermes_cli.errors import LoadCancelled, UsageError
from hermes_cli.machine.load_plan import plan_load
from hermes_cli.machine.measure import SAMPLE_TEXT, generation_speed, prompt_seconds, sample_tokens
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.turn_view import print_loaded, thousands

_LENGTHS = (128, 512, 2048, 8192)
_WRITTEN = 64
_BUDGET_S = 60.0
_SEEDS = range(1, 9)  # a model that ends its answers early is asked again
_TASK = Message("user", "Tell me a very long story about the sea, with many ships and storms.")


@dataclass(frozen=True, slots=True)
class Row:
    """Prompt processing and generation in tokens per second at this prompt length; `bare_*`: llama.cpp alone.

    `joules_per_token` is the energy of the processors per generated token, None if the machine does not report it.
    """

    prompt_tokens: int
    read: float
    write: float
    bare_read: float = 0.0
    bare_write: float = 0.0
    joules_per_token: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One model with one choice of settings; `process_bytes` is the memory of this process, with the model in use."""

    info: BackendInfo
    settings: LoadSettings
    first_token_s: float
    process_bytes: int
    rows: tuple[Row, ...]


def measured(path: Path, requested: LoadOptions, lengths: Sequence[int] | None, cancel: CancelToken) -> Run:
    """A model measured with prompts of these lengths, by default 128 to 8192. Raises LoadCancelled, HermesError."""
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
            process_bytes = hardware.process_bytes()
        # On a thread that ends: OpenMP keeps the workers of the main thread, which would slow the next model down.
        with closing(EngineThread()) as thread:
            rows = thread.run(lambda: list(_with_bare(path, used, rows, cancel, status)))
    finally:
        status.erase()
    return Run(info, used, first_s, process_bytes, tuple(rows))


def _rows(
    backend: LocalBackend, lengths: Sequence[int] | None, cancel: CancelToken, status: console.StatusLine
) -> Iterator[Row]:
    """The speed of hermes: each prompt extends the one before, so only the new tokens are processed."""
    until = time.monotonic() + _BUDGET_S / 2  # the other half is for llama.cpp alone
    row: Row | None = None
    for length in _fitting(lengths, backend.info.context_length - 2 * _WRITTEN):
        before = row.prompt_tokens if row else 0
        if row and not lengths and time.monotonic() + (length - before) / row.read + _WRITTEN / row.write > until:
            console.notice(
                f"a prompt of {length} tokens is skipped because it would take long; to measure it: --prompt {length}"
            )
            return
        status.show(f"measuring a prompt of {thousands(length)} tokens")
        row = _row(backend, length, cancel)
        if row.prompt_tokens > before:  # prompts consist of whole sentences, so two lengths may give the same one
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
    before = hardware.energy_joules()
    repeated = 0  # tokens of the answers whose prompts were cached: their energy is that of generation
    for seed in _SEEDS:
        if written >= _WRITTEN // 2 and (before is None or repeated):
            break
        more = _asked(backend, (filler, _TASK), _WRITTEN, cancel, seed)
        written, seconds = written + more.usage.completion_tokens - 1, seconds + more.timings.decode_s
        repeated += more.usage.completion_tokens
    after = hardware.energy_joules()
    # A counter that was reset is useless.
    joules = (after - before) / repeated if before and after and repeated and after > before else None
    speed = written / seconds if seconds else 0.0
    return Row(first.usage.prompt_tokens, read, speed, joules_per_token=joules)


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
