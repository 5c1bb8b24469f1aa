"""One answer in the making, on the engine thread: read the prompt, sample, and tell events until the end.

The ledger lists the tokens in the KV cache and is the truth: a new prompt keeps the longest common prefix and reads
the rest. Whatever stops the work, ledger and cache agree again afterwards.
"""

import itertools
import time
from dataclasses import dataclass
from queue import SimpleQueue

from hermes_cli.chat.events import Finished, GenerationEvent, PromptProgress, TextDelta, Timings, Usage
from hermes_cli.chat.message import FinishReason
from hermes_cli.chat.request import CancelToken
from hermes_cli.engine import sampling
from hermes_cli.engine.native_context import Context, DecodeAborted, Sampler
from hermes_cli.engine.native_model import Model
from hermes_cli.engine.text_stream import TextStream
from hermes_cli.errors import EngineError

_EMIT_S = 0.015
QueuedEvent = GenerationEvent | BaseException | None


@dataclass(frozen=True, slots=True)
class Job:
    """What to answer: the prompt's tokens, how to sample, at most how many tokens, and where to stop."""

    tokens: list[int]
    values: sampling.SamplingValues
    limit: int
    stop: tuple[str, ...]


class Generation:
    """One answer; `run` is the work of the engine thread, `events` what it tells, closed by None."""

    def __init__(
        self,
        model: Model,
        context: Context,
        ledger: list[int],
        job: Job,
        cancel: CancelToken,
        events: SimpleQueue[QueuedEvent],
    ) -> None:
        self._model, self._context, self._ledger = model, context, ledger
        self._job, self._cancel, self._events = job, cancel, events
        self._stream = TextStream(job.stop)
        self._cached = self._written = 0
        self._started = time.perf_counter()
        self._prefilled = self._first = 0.0

    def run(self) -> None:
        """Read the prompt, write the answer, tell the end; never raises."""
        sampler: Sampler | None = None
        try:
            sampler = sampling.sampler(self._job.values, self._model.vocab_size)
            try:
                self._read_prompt()
                reason = self._write_answer(sampler)
            except DecodeAborted:
                reason = "cancelled"
            self._events.put(self._finished(reason))
        except BaseException as error:
            self._events.put(error)
        finally:
            if sampler:
                sampler.close()
            self._events.put(None)

    def _read_prompt(self) -> None:
        """Keep what the cache shares with the prompt and decode the rest; the last token always, for its logits."""
        tokens, ledger = self._job.tokens, self._ledger
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(ledger, tokens, strict=False)))
        self._cached = self._context.keep(min(same, len(tokens) - 1))
        del ledger[self._cached :]
        self._events.put(PromptProgress(self._cached, len(tokens)))
        for start in range(self._cached, len(tokens), self._context.batch_size):
            if self._cancel.cancelled:
                raise DecodeAborted
            self._decode(tokens[start : start + self._context.batch_size])
            self._events.put(PromptProgress(len(ledger), len(tokens)))
        self._context.check_numbers()
        self._prefilled = time.perf_counter()

    def _write_answer(self, sampler: Sampler) -> FinishReason:
        """Sample until the turn ends, a stop string comes or the limit is reached; text goes out every few ms."""
        model, context, feed = self._model, self._context, self._stream.feed
        pending, due = "", 0.0
        try:
            while self._written < self._job.limit:
                token = context.sample(sampler)
                now = time.perf_counter()
                self._first = self._first or now
                if model.is_end(token):
                    return "stop"
                self._written += 1
                pending += feed(model.piece(token))
                if self._stream.stopped:
                    return "stop"
                if pending and now >= due:
                    self._events.put(TextDelta(pending))
                    pending, due = "", now + _EMIT_S
                if self._written < self._job.limit:
                    self._decode([token])
            return "length"
        finally:
            pending += self._stream.finish()
            if pending:
                self._events.put(TextDelta(pending))

    def _decode(self, tokens: list[int]) -> None:
        """Decode and enter into the ledger; after a stop or a failure the ledger again says what the cache holds."""
        try:
            self._context.decode(tokens)
        except DecodeAborted:
            self._ledger += tokens
            del self._ledger[self._context.position() :]
            raise
        except EngineError:
            self._ledger.clear()
            self._context.keep(0)
            raise
        self._ledger += tokens

    def _finished(self, reason: FinishReason) -> Finished:
        now = time.perf_counter()
        usage = Usage(len(self._job.tokens), self._cached, self._written)
        timings = Timings(
            prefill_s=(self._prefilled or now) - self._started,
            first_token_s=(self._first or now) - self._started,
            decode_s=now - self._first if self._first else 0.0,
        )
        return Finished(reason, usage, timings, self._job.values.seed)
