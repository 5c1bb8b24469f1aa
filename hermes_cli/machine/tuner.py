"""Measure which settings run a model fastest here: one change at a time, each compared with the best so far."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hermes_cli.chat.request import CancelToken
from hermes_cli.engine import hardware
from hermes_cli.engine.llama.context import DecodeAborted
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.load_options import LoadOptions, LoadSettings
from hermes_cli.engine.loading import make_context, make_model
from hermes_cli.errors import LoadCancelled, OutOfMemory
from hermes_cli.kv_types import UNQUANTISED
from hermes_cli.machine import tuning
from hermes_cli.machine.measure import generation_speed, prompt_speed, sample_tokens
from hermes_cli.machine.tuning import MOST_THREADS, Tuned

_BUDGET_S = 40.0
_SAMPLE_S = 0.35
_SAMPLE_SHARE = 0.01  # of the time for the search, at most
_SLOW_S = 0.8  # a sample that takes longer, its load included, is not repeated
_LEAST_LOAD_S = 0.5  # repacking weights makes a load longer than the one before
_EXTRA_S = 5.0  # beyond the budget, for the final check
_READ_RANGE, _WRITE_RANGE = (32, 2048), (3, 128)
_BATCHES = (128, 256, 512, 1024)
_LEAST_GAIN, _LEAST_GAIN_OF_ONE = 1.03, 1.08  # less may be chance, more so with one sample
_LEAST_GAIN_OF_KV = 1.10  # a quantised cache is a little less exact
_READ_TOKENS, _WRITTEN_TOKENS, _TURNS = 500, 200, 5  # a typical turn, and how many turns share one load


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second of prompt processing (read) and generation (write), and how long loading took."""

    read: float
    write: float
    load_s: float

    @property
    def turn_s(self) -> float:
        """The duration of a typical turn, with its share of the load."""
        return _READ_TOKENS / self.read + _WRITTEN_TOKENS / self.write + self.load_s / _TURNS


@dataclass(frozen=True, slots=True)
class Trial:
    """A setting, its speed (None without time or memory to measure it), and whether it is the best so far."""

    setting: str
    speed: Speed | None
    kept: bool = False
    loaded: bool = False  # the model was loaded for it


class Tuner:
    """The search for one model, which is loaded again only for settings that require it.

    It starts from `base` and does not change what `options` set; `report` is called with every trial. The search takes
    about `budget_s`, by default 40 s; with less, samples are shorter too.
    """

    def __init__(
        self,
        path: Path,
        base: LoadSettings,
        options: LoadOptions,
        cancel: CancelToken,
        report: Callable[[Trial], None],
        budget_s: float | None = None,
    ) -> None:
        self._path, self._options, self._cancel, self._report = path, options, cancel, report
        self._budget_s = _BUDGET_S if budget_s is None else budget_s
        self._sample = min(_SAMPLE_S, self._budget_s * _SAMPLE_SHARE)
        self._model: Model | None = None
        self._repacked, self._load_s = False, 0.0
        self._base = self._best = base
        self._read, self._write = _READ_RANGE[0], _WRITE_RANGE[0]

    def close(self) -> None:
        """Free the model."""
        if self._model:
            self._model.close()
            self._model = None

    def tune(self, *, may_repack: bool) -> Tuned:
        """Try as many settings as there is time for; save the best and return it. Raises LoadCancelled, EngineError."""
        until = time.monotonic() + self._budget_s
        self._loaded(self._base)
        before = best = self._first_speed()
        self._report(Trial("current settings", before, kept=True))
        for setting, settings, least_gain in self._candidates(may_repack):
            self._check_cancel()
            usual, before_trial = self._read, self._best
            if settings.batch_tokens != self._best.batch_tokens:
                self._read = max(usual, settings.batch_tokens)  # only prompts that fill a batch are affected
            try:
                if time.monotonic() + self._comparing_s(settings, best) > until:
                    raise TimeoutError
                now, tried = self._compare(settings)
            except (OutOfMemory, TimeoutError):
                self._report(Trial(setting, None))
                continue
            finally:
                self._read = usual
            is_sure = self._sample_s(tried) < _SLOW_S
            kept = now.turn_s / tried.turn_s >= (least_gain if is_sure else max(least_gain, _LEAST_GAIN_OF_ONE))
            if kept:
                self._best, best = settings, tried
            reloads = settings.extra_buffers != before_trial.extra_buffers
            self._report(Trial(setting, tried, kept, reloads))
        if self._best != self._base and time.monotonic() + self._comparing_s(self._base, best) < until + _EXTRA_S:
            best, before = self._compare(self._base)  # a gain by chance does not repeat
            if before.turn_s / best.turn_s < _LEAST_GAIN:
                self._best, best = self._base, before
                self._report(Trial("back to the start", best, kept=True))
        self._check_cancel()
        tuned = self._tuned(before, best)
        tuning.remember(self._path, tuned, on_gpu=bool(self._base.gpu_layers))
        return tuned

    def _check_cancel(self) -> None:
        """Raise LoadCancelled after a cancel."""
        if self._cancel.cancelled:
            raise LoadCancelled("measuring was stopped", "run the command again")

    def _comparing_s(self, settings: LoadSettings, speed: Speed) -> float:
        """How long it takes at most to compare `settings` with the best so far."""
        loads = 2 if settings.extra_buffers != self._best.extra_buffers else 0
        return 4 * self._sample_s(speed) + loads * max(self._load_s, _LEAST_LOAD_S)

    def _candidates(self, may_repack: bool) -> Iterator[tuple[str, LoadSettings, float]]:
        """Settings with one change each, and the least gain that justifies it."""
        for threads in self._thread_counts():
            yield f"{threads} thread{'s' * (threads > 1)}", replace(self._best, threads=threads), _LEAST_GAIN
        if self._best.kv_type in UNQUANTISED:
            other = self._best.flash_attention is False
            name = f"flash attention {'on' if other else 'off'}"
            yield name, replace(self._best, flash_attention=other), _LEAST_GAIN
        if self._options.kv_type is None and self._best.kv_type in UNQUANTISED:
            yield "cache q8_0", replace(self._best, kv_type="q8_0", flash_attention=None), _LEAST_GAIN_OF_KV
        if may_repack and self._base.gpu_layers != -1:
            other = not self._best.extra_buffers
            name = f"weights {'' if other else 'not '}repacked"
            yield name, replace(self._best, extra_buffers=other), _LEAST_GAIN
        for batch in _BATCHES:
            if batch != self._best.batch_tokens:
                yield f"batches of {batch}", replace(self._best, batch_tokens=batch), _LEAST_GAIN

    def _thread_counts(self) -> list[int]:
        """The counts to try, without the current one; none if the user chose one, or a GPU does all the work."""
        if self._options.threads or self._base.gpu_layers == -1:
            return []
        cores = hardware.physical_cores()
        counts = {1, max(cores // 2, 1), cores, hardware.logical_cores()} - {self._best.threads}
        return sorted(count for count in counts if count <= MOST_THREADS)

    def _first_speed(self) -> Speed:
        """The speed of the current settings, with samples as long as this model needs."""
        speed = self._measured(self._best)
        self._read = _within(speed.read * self._sample, _READ_RANGE, step=_READ_RANGE[0])
        self._write = _within(speed.write * self._sample, _WRITE_RANGE)
        return self._measured(self._best)

    def _sample_s(self, speed: Speed) -> float:
        return self._read / speed.read + self._write / speed.write

    def _compare(self, settings: LoadSettings) -> tuple[Speed, Speed]:
        """The best so far and `settings`, measured in turn; the faster of two samples counts, slow ones are alone."""
        now, tried = self._measured(self._best), self._measured(settings)
        loads_s = self._load_s if settings.extra_buffers != self._best.extra_buffers else 0.0
        if self._sample_s(tried) + loads_s < _SLOW_S:
            now, tried = _faster(now, self._measured(self._best)), _faster(tried, self._measured(settings))
        return now, tried

    def _measured(self, settings: LoadSettings) -> Speed:
        """The speed of one sample with these settings. Raises LoadCancelled, OutOfMemory, EngineError."""
        model = self._loaded(settings)
        tokens = sample_tokens(model, self._read)
        length = self._read + self._write + 1
        with closing(make_context(model, replace(settings, context_length=length))) as context:
            try:
                with self._cancel.calling(context.abort):
                    read = prompt_speed(context, tokens)
                    write = generation_speed(context, tokens[0], self._write)
            except DecodeAborted:
                self._check_cancel()
                raise
        return Speed(read, write, self._load_s)

    def _loaded(self, settings: LoadSettings) -> Model:
        if self._model is None or settings.extra_buffers != self._repacked:
            self.close()
            started = time.perf_counter()
            self._model = make_model(self._path, settings, lambda _: not self._cancel.cancelled)
            self._repacked, self._load_s = settings.extra_buffers, time.perf_counter() - started
        return self._model

    def _tuned(self, first: Speed, best: Speed) -> Tuned:
        settings = self._best
        return Tuned(
            self._path.stem,
            settings.threads,
            settings.kv_type,
            settings.batch_tokens,
            settings.flash_attention,
            settings.extra_buffers,
            round(first.read, 2),
            round(first.write, 2),
            round(best.read, 2),
            round(best.write, 2),
            f"{datetime.now():%Y-%m-%d}",
        )


def _faster(first: Speed, second: Speed) -> Speed:
    return Speed(max(first.read, second.read), max(first.write, second.write), first.load_s)


def _within(wanted: float, limits: tuple[int, int], step: int = 1) -> int:
    low, high = limits
    return min(max(int(wanted) // step * step, low), high)
