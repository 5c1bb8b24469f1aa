"""One generation on the engine thread: process the prompt, sample tokens, and queue events until the end.

However it ends, the ledger matches the KV cache afterwards.
"""

import time
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from hermes_cli.chat.events import Finished, GenerationEvent, PromptProgress, TextDelta, Timings, TokenLogprob, Usage
from hermes_cli.chat.message import FinishReason
from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.sampling import SamplingValues
from hermes_cli.engine.cache.kv_cache import KvCache
from hermes_cli.engine.constraint.vocabulary import Vocabulary
from hermes_cli.engine.decoding import sampling
from hermes_cli.engine.decoding.logprobs import logprob_of_last
from hermes_cli.engine.decoding.pace import ThreadPace
from hermes_cli.engine.decoding.speculation import DraftRule, Speculation
from hermes_cli.engine.decoding.text_stream import TextStream
from hermes_cli.engine.llama.context import DecodeAborted
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.llama.sampler import Sampler
from hermes_cli.errors import SchemaNotSatisfied, UsageError
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.engine.constraint.constraint import Constraint
    from hermes_cli.engine.constraint.grammar import Plan

_EMIT_S = 0.03
QueuedEvent = GenerationEvent | BaseException | None


@dataclass(frozen=True, slots=True)
class Job:
    """What to generate: the prompt's tokens, sampling, maximum length, stop strings and constraint."""

    tokens: list[int]
    values: SamplingValues
    limit: int
    stop: tuple[str, ...]
    plan: "Plan | None" = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    top_logprobs: int | None = None
    candidates: int = 0  # that the device selects and the sampler chooses from; 0: all tokens
    scores_end: bool = False  # the token that ends the answer has a log probability too


class Generation:
    """One generation; `run` is the work of the engine thread, which puts its events into `events`, at last None."""

    def __init__(
        self,
        model: Model,
        cache: KvCache,
        vocabulary: Vocabulary,
        job: Job,
        cancel: CancelToken,
        events: SimpleQueue[QueuedEvent],
        pace: ThreadPace | None = None,
        drafts: DraftRule | None = None,
    ) -> None:
        """`pace` adapts the number of threads; with `drafts`, several tokens are checked at once."""
        self._model, self._cache, self._vocabulary = model, cache, vocabulary
        self._job, self._cancel, self._events = job, cancel, events
        self._stream, self._pace = TextStream(job.stop), pace
        self._speculation = Speculation(cache, drafts, job.tokens, job.limit) if drafts else None
        self._cached = self._written = 0
        self._started = time.perf_counter()
        self._prefilled = self._first = 0.0
        self.answered = False

    def run(self) -> None:
        """Process the prompt, generate the answer, report the end; never raises."""
        sampler: Sampler | None = None
        try:
            job = self._job
            length = self._cache.context.context_length
            sampler = sampling.sampler(job.values, self._model, job.logit_bias, context_length=length)
            sampler.accept(job.values.penalised(job.tokens))
            try:
                self._process_prompt()
                reason = self._generate(sampler)
            except DecodeAborted:
                reason = "cancelled"
            self.answered = reason != "cancelled"
            self._events.put(self._finished(reason))
        except (UsageError, SchemaNotSatisfied) as error:  # faults of the request: the cache is right
            self._events.put(error)
        except BaseException as error:
            self._cache.disable_saving()
            self._events.put(error)
        finally:
            if sampler:
                sampler.close()
            self._events.put(None)

    def _process_prompt(self) -> None:
        """Reuse the part of the prompt in the cache and decode the rest, at least its last token."""
        tokens = self._job.tokens
        if self._pace:
            self._pace.start()
        self._cache.context.select_candidates(self._job.candidates)
        self._cached = self._cache.start(tokens, lambda: not self._cancel.cancelled)
        self._events.put(PromptProgress(self._cached, len(tokens)))
        steps = self._cache.read(tokens[self._cached :])
        while not self._cancel.cancelled and (read := next(steps, None)) is not None:
            self._events.put(PromptProgress(read, len(tokens)))
        if self._cancel.cancelled:
            raise DecodeAborted
        self._cache.context.check_numbers()
        self._prefilled = time.perf_counter()

    def _generate(self, sampler: Sampler) -> FinishReason:
        """Sample until the turn ends, a stop string appears or the limit is reached; text is sent every few ms."""
        # Weights fill the core's caches during a decode: every Python function called for a token costs a microsecond.
        constraint, pace, is_end = self._constraint(), self._pace, self._model.is_end
        write = self._speculation.write if self._speculation else self._cache.write
        # A device works on after `write` has returned, so that text is prepared meanwhile; a CPU would delay the text.
        ahead = self._job.candidates > 0
        choose = partial(constraint.choose if constraint else self._cache.context.sample, sampler)
        unread: list[int] = []  # tokens that are not text yet
        pending, due = "", 0.0
        tokens: list[TokenLogprob] = []
        try:
            while self._written < self._job.limit:
                token = choose()
                now = time.perf_counter()
                self._first = self._first or now
                if pace and now >= pace.due_s:
                    pace.look(now)
                ended = is_end(token)
                if self._job.top_logprobs is not None and (self._job.scores_end or not ended):
                    tokens.append(logprob_of_last(self._cache.context, self._model, token, self._job.top_logprobs))
                if ended:
                    return "stop"
                self._written += 1
                unread.append(token)
                is_last = self._written == self._job.limit
                if ahead and not is_last:
                    write(token)
                if now >= due or self._job.stop:
                    pending += self._text(unread)
                if self._stream.stopped or (constraint and constraint.finished):
                    return "stop"
                if pending and now >= due:
                    self._events.put(TextDelta(pending, tuple(tokens)))
                    pending, tokens, due = "", [], now + _EMIT_S
                if not ahead and not is_last:
                    write(token)
            return "length"
        finally:
            if constraint:
                constraint.close()
            if self._speculation:
                self._speculation.close()
            pending += self._text(unread) + self._stream.finish()
            if pending or tokens:
                self._events.put(TextDelta(pending, tuple(tokens)))

    def _text(self, unread: list[int]) -> str:
        """The text of tokens, which are removed from `unread`: several at once take less time than one by one."""
        pieces = b"".join(map(self._model.piece, unread))
        unread.clear()
        return self._stream.feed(pieces)

    def _constraint(self) -> "Constraint | None":
        if self._job.plan is None:
            return None
        from hermes_cli.engine.constraint.constraint import Constraint

        context, values = self._cache.context, self._job.values
        return Constraint(
            self._job.plan, self._vocabulary, self._model, context, values, lambda: not self._cancel.cancelled
        )

    def _finished(self, reason: FinishReason) -> Finished:
        now = time.perf_counter()
        usage = Usage(len(self._job.tokens), self._cached, self._written)
        timings = Timings(
            prefill_s=(self._prefilled or now) - self._started,
            first_token_s=(self._first or now) - self._started,
            decode_s=now - self._first if self._first else 0.0,
        )
        return Finished(reason, usage, timings, self._job.values.seed, usage.prompt_tokens + self._written)
