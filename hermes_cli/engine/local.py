"""llama.cpp as a `Backend`: load a GGUF, process prompts with the KV cache reused, generate, and stop on request.

Loading, decoding and freeing run on one engine thread; `generate` forwards its events. Between requests nothing runs.
"""

import itertools
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from hermes_cli.backend import BackendInfo
from hermes_cli.chat.events import GenerationEvent, PromptProgress, TokenLogprob
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import decide
from hermes_cli.engine.constraint.planner import Planner
from hermes_cli.engine.constraint.vocabulary import Vocabulary
from hermes_cli.engine.decoding.generation import Generation, Job, QueuedEvent
from hermes_cli.engine.decoding.logprobs import score
from hermes_cli.engine.decoding.pace import ThreadPace
from hermes_cli.engine.decoding.sampling import biases, candidates
from hermes_cli.engine.decoding.speculation import DraftRule, draft_costs
from hermes_cli.engine.llama.context import DecodeAborted
from hermes_cli.engine.load_options import LoadSettings
from hermes_cli.engine.loading import load, placement
from hermes_cli.engine.prompt import Prompt, PromptWriter
from hermes_cli.engine.thread import EngineThread, wait
from hermes_cli.errors import ContextOverflow, EngineError, HermesError, LoadCancelled, UsageError
from hermes_cli.formats.segment import joined
from hermes_cli.formats.thinking import thinking_apart

__all__ = ["LoadSettings", "LocalBackend", "open_backend"]

_LONGEST_TOKEN = 256  # characters; tokens of every known vocabulary are shorter
_SAVING_S = 5.0


def open_backend(
    path: Path,
    *attempts: LoadSettings,
    cancel: CancelToken | None = None,
    on_progress: Callable[[float], None] | None = None,
    notes: tuple[str, ...] = (),
    advice: str | None = None,
    planner: Planner | None = None,
) -> "LocalBackend":
    """Load the GGUF at `path` with the first of `attempts` that memory allows.

    `on_progress` gets 0 to 1 on the engine thread; `notes` and `advice` go into the info. `planner` is one that has
    examined the schemas of the requests already. Raises EngineError, LoadCancelled.
    """
    attempts = attempts or (LoadSettings(),)
    backend = LocalBackend(path, attempts, cancel or CancelToken(), on_progress, planner or Planner())
    backend.info = replace(backend.info, notes=(*notes, *backend.info.notes), advice=advice)
    return backend


class LocalBackend:
    """One model and one KV cache in this process; `settings` is how it was loaded, `drafts` when it speculates."""

    def __init__(
        self,
        path: Path,
        attempts: Sequence[LoadSettings],
        cancel: CancelToken,
        on_progress: Callable[[float], None] | None,
        planner: Planner,
    ) -> None:
        started = time.perf_counter()
        self._thread = EngineThread()
        self._cancel, self._planner = cancel, planner
        self._opening: tuple[Message, ...] = ()
        self._closing = False
        self._may_save_from = math.inf  # closing at or after this time saves the cache

        def progress(fraction: float) -> bool:
            if on_progress:
                on_progress(fraction)
            return not cancel.cancelled

        try:
            loaded = self._thread.run(lambda: load(path, attempts, progress))
        except BaseException:
            self._thread.close()
            raise
        self._closed = False
        self.model, self.cache, self.settings = loaded.model, loaded.cache, loaded.settings
        self.vocabulary = Vocabulary(loaded.model)
        adapts = loaded.settings.adapts_threads and loaded.settings.threads > 1
        self._pace = ThreadPace(loaded.settings.threads, self.cache.context.set_threads) if adapts else None
        try:
            self.drafts = self._draft_rule() if loaded.settings.speculates and self.cache.can_rewind else None
            self._prompts = PromptWriter(self.model, loaded.settings.template)
        except HermesError:
            self.close()
            raise
        self.info = BackendInfo(
            model_name=self.model.metadata("general.name") or path.stem,
            description=self.model.description,
            placement=placement(loaded.settings, self.model.layer_count + 1),
            context_length=self.cache.context.context_length,
            memory_bytes=loaded.settings.memory_bytes,
            load_s=time.perf_counter() - started,
            notes=loaded.notes,
            adapters=tuple((str(adapter.path), adapter.scale) for adapter in loaded.settings.adapters),
        )

    def _draft_rule(self) -> DraftRule:
        """A GPU is quick enough to measure what drafts cost; on a CPU the rule finds out as it goes."""
        measured = self.settings.device_sampling
        return DraftRule(self._thread.run(lambda: draft_costs(self.cache.context)) if measured else None)

    def __enter__(self) -> "LocalBackend":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Save to disk what took long to process, then free everything; closing twice is harmless.

        Saving takes seconds at most, and a cancel or an exception ends it at once.
        """
        if not self._closed:
            self._closed = True
            self.cache.context.abort()  # an answer that is still being generated
            try:
                self._thread.run(self._save)
            finally:
                self._closing = True
                self._thread.run(self._free)
                self._thread.close()

    def _free(self) -> None:
        self.vocabulary.close()
        self.cache.context.close()
        self.model.close()

    def _save(self) -> None:
        """Save the cache, unless the last answer failed or was stopped just now."""
        now, reason = time.monotonic(), self._cancel.reason
        if now < self._may_save_from:
            return
        with suppress(Exception):  # the cache only saves time
            self.cache.save(
                self._opening_tokens,
                lambda: not self._closing and time.monotonic() < now + _SAVING_S and self._cancel.reason == reason,
            )

    def _opening_tokens(self) -> list[int]:
        """The tokens that every conversation with the latest system prompt begins with."""
        return self._prompts.write((*self._opening, Message("user", ""))).tokens if self._opening else []

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("this model was closed", "open it again")

    def count_tokens(self, messages: tuple[Message, ...]) -> int:
        """The number of context tokens that a request with these messages takes."""
        self._check_open()
        return len(self._prompts.write(messages).tokens)

    def prompt_text(self, messages: tuple[Message, ...]) -> str:
        """The prompt of a request with these messages, markers included."""
        self._check_open()
        return joined(self._prompts.segments(messages))

    def control_text(self, messages: tuple[Message, ...]) -> tuple[str, ...]:
        """The control tokens of the model that are spelled out in the messages; they stay ordinary text."""
        self._check_open()
        return self._prompts.control_text(messages)

    def generate(self, request: GenerationRequest, cancel: CancelToken) -> Generator[GenerationEvent]:
        """Answer `request`; see `Backend.generate`. Leaving the iterator early stops the generation."""
        self._check_open()
        context_length = self.info.context_length
        characters = 0 if request.prompt else sum(len(message.content) for message in request.messages)
        if characters > context_length * _LONGEST_TOKEN:
            raise self._overflow(f"the prompt has {characters:,} characters")
        self.cache.context.abort()  # ends an earlier answer that was abandoned
        # On the engine thread: a slow template or a long text must not delay signals.
        prompt = self._thread.run(lambda: self._prompt(request))
        tokens = prompt.tokens
        if len(tokens) >= context_length:
            raise self._overflow(f"the prompt has {len(tokens):,} tokens", len(tokens))
        if not tokens:
            raise UsageError("the template produces no text for this conversation", "specify another: --template FILE")
        values = decide(request.sampling)
        bias = biases(values, request.logit_bias, self.model.vocab_size)
        room = context_length - len(tokens)
        limit = room if request.max_tokens is None else min(request.max_tokens, room)
        events: SimpleQueue[QueuedEvent] = SimpleQueue()
        plan = self._thread.run(lambda: self._planner.plan(request))
        if plan:
            self.vocabulary.prepare()
        needs_logits = plan is not None or request.top_logprobs is not None or not self.settings.device_sampling
        job = Job(
            tokens,
            values,
            limit,
            request.stop,
            plan,
            bias,
            request.top_logprobs,
            candidates=0 if needs_logits else candidates(values, bias),
            scores_end=request.prompt is not None,
        )
        work = Generation(self.model, self.cache, self.vocabulary, job, cancel, events, self._pace, self.drafts)
        self._cancel = cancel
        self._opening = tuple(itertools.takewhile(lambda message: message.role == "system", request.messages))
        self.cache.context.allow()
        with cancel.calling(self.cache.context.abort):
            self._thread.submit(lambda: self._run(work))
            answer = _forwarded(events, self.cache.context.abort)
            yield from answer if request.prompt else thinking_apart(answer, inside=prompt.inside_thinking)

    def _prompt(self, request: GenerationRequest) -> Prompt:
        """The prompt of a request; if the answer is constrained from its beginning, the model does not think."""
        if request.prompt is not None:
            return Prompt((), list(request.prompt))
        is_held = request.schema is not None or request.grammar is not None or request.must_call
        return self._prompts.write(request.messages, thinking=not (is_held and request.constrained))

    def prompt_tokens(self, messages: tuple[Message, ...]) -> list[int]:
        """The token ids of the prompt for these messages."""
        self._check_open()
        return list(self._prompts.write(messages).tokens)

    def score(self, tokens: Sequence[int], top: int, cancel: CancelToken) -> list[TokenLogprob | None]:
        """The log probability of every token after those before it, with the `top` likeliest; None for the first.

        Raises ContextOverflow, LoadCancelled after a cancel, EngineError.
        """
        self._check_open()
        if len(tokens) > self.info.context_length:
            raise self._overflow(f"the prompt has {len(tokens):,} tokens", len(tokens))
        self.cache.context.allow()
        try:
            with cancel.calling(self.cache.context.abort):
                return self._thread.run(
                    lambda: score(self.cache, self.model, tokens, top, lambda: not cancel.cancelled)
                )
        except DecodeAborted:
            raise LoadCancelled("scoring was stopped", "send the request again") from None

    def _run(self, work: Generation) -> None:
        self._may_save_from = math.inf
        work.run()
        self._may_save_from = time.monotonic() + (0.0 if work.answered else self.settings.stop_s)

    def _overflow(self, size: str, tokens: int | None = None) -> ContextOverflow:
        context_length, trained = self.info.context_length, self.model.trained_context_length
        longer = f", or use a longer context with --ctx (up to {trained:,})" if trained > context_length else ""
        return ContextOverflow(
            f"{size}, the context {context_length:,} tokens",
            f"shorten it{longer}",
            prompt_tokens=tokens,
            context_length=context_length,
        )


def _forwarded(events: SimpleQueue[QueuedEvent], abort: Callable[[], None]) -> Generator[GenerationEvent]:
    """The events up to the closing None; errors are raised here, and the job has ended when this returns."""
    event: QueuedEvent = PromptProgress(0, 0)
    try:
        while (event := wait(events)) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        if event is not None:
            abort()
            while wait(events) is not None:
                pass
