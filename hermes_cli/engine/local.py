"""llama.cpp as a `Backend`: load a GGUF, read prompts with the KV cache reused, decode, and stop at once when asked.

Loading, decoding and freeing run on one engine thread; `generate` writes the prompt and forwards the events. In pauses
and at the end the thread looks after the cache, until the next request comes.
"""

import itertools
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from hermes_cli.backend import BackendInfo
from hermes_cli.chat.events import GenerationEvent, PromptProgress
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.engine import sampling
from hermes_cli.engine.constraint import grammar as constraint_grammar
from hermes_cli.engine.constraint.vocabulary import Vocabulary
from hermes_cli.engine.generation import Generation, Job, QueuedEvent
from hermes_cli.engine.load_options import LoadOptions
from hermes_cli.engine.loading import load, placement
from hermes_cli.engine.prompt import PromptWriter
from hermes_cli.engine.thread import EngineThread, wait
from hermes_cli.errors import ContextOverflow, EngineError, HermesError, UsageError
from hermes_cli.formats.segment import joined

__all__ = ["LoadOptions", "LocalBackend", "open_backend"]

_LONGEST_TOKEN = 256  # characters; no vocabulary comes near
PAUSE_S = 0.5  # whoever asks again sooner, as after a tool call, does not wait for anything
_CLOSING_S = 5.0


def open_backend(
    path: Path,
    *attempts: LoadOptions,
    cancel: CancelToken | None = None,
    on_progress: Callable[[float], None] | None = None,
    notes: tuple[str, ...] = (),
    advice: str | None = None,
) -> "LocalBackend":
    """Load the GGUF at `path` with the first of `attempts` that memory allows.

    `on_progress` gets 0 to 1 on the engine thread; `notes` and `advice` go into the info. Raises EngineError,
    LoadCancelled.
    """
    backend = LocalBackend(path, attempts or (LoadOptions(),), cancel or CancelToken(), on_progress)
    backend.info = replace(backend.info, notes=(*notes, *backend.info.notes), advice=advice)
    return backend


class LocalBackend:
    """One model and one KV cache in this process."""

    def __init__(
        self,
        path: Path,
        attempts: Sequence[LoadOptions],
        cancel: CancelToken,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        started = time.perf_counter()
        self._thread = EngineThread()
        self._hurry = threading.Event()
        self._cancel = cancel
        self._opening: tuple[Message, ...] = ()
        self._worth_keeping = self._leaving = False

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
        self._model, self._cache, self.options = loaded.model, loaded.cache, loaded.options
        self._vocabulary = Vocabulary(loaded.model)
        self._context, self._ledger = loaded.cache.context, loaded.cache.ledger
        try:
            self._prompts = PromptWriter(self._model, loaded.options.template)
        except HermesError:
            self.close()
            raise
        self.info = BackendInfo(
            model_name=self._model.metadata("general.name") or path.stem,
            description=self._model.description,
            placement=placement(loaded.options, self._model.layer_count + 1),
            context_length=self._context.context_length,
            memory_bytes=loaded.options.memory_bytes,
            load_s=time.perf_counter() - started,
            notes=loaded.notes,
        )

    def __enter__(self) -> "LocalBackend":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Keep on disk what took long to read, then free everything; closing twice is harmless.

        Keeping takes seconds at most, and a cancel or an exception ends it at once.
        """
        if not self._closed:
            self._closed = True
            self._interrupt()
            try:
                self._thread.run(self._put_away)
            finally:
                self._leaving = True
                self._interrupt()
                self._thread.run(self._free)
                self._thread.close()

    def _free(self) -> None:
        self._vocabulary.close()
        self._context.close()
        self._model.close()

    def _interrupt(self) -> None:
        """Have the thread drop what it does in a pause."""
        self._hurry.set()
        self._context.abort()

    def _rest(self) -> None:
        """What the engine thread does after an answer, until there is something to do."""
        if not self._hurry.wait(PAUSE_S):
            with suppress(Exception):  # the thread must live on; a failed decode has emptied the cache
                self._cache.rest(lambda: not self._hurry.is_set())
                self._worth_keeping = True

    def _put_away(self) -> None:
        """Keep what is worth it, unless the last answer failed or was stopped just now."""
        deadline, reason = time.monotonic() + _CLOSING_S, self._cancel.reason
        if self._worth_keeping:
            with suppress(Exception):  # nobody is to be troubled with what only saves time
                self._cache.put_away(
                    self._opening_tokens,
                    lambda: not self._leaving and time.monotonic() < deadline and self._cancel.reason == reason,
                )

    def _opening_tokens(self) -> list[int]:
        """What every conversation with the latest system prompt begins with."""
        return self._prompts.write((*self._opening, Message("user", ""))).tokens if self._opening else []

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("this model was closed", "open it again")

    def count_tokens(self, messages: tuple[Message, ...]) -> int:
        """How many tokens a request with these messages takes up in the window."""
        self._check_open()
        return len(self._prompts.write(messages).tokens)

    def prompt_text(self, messages: tuple[Message, ...]) -> str:
        """What the model reads when it is asked with these messages, markers included."""
        return joined(self._prompts.write(messages).segments)

    def control_text(self, messages: tuple[Message, ...]) -> tuple[str, ...]:
        """Markers of the model that are spelled out in the messages, where they count as ordinary text."""
        return self._prompts.control_text(messages)

    def generate(self, request: GenerationRequest, cancel: CancelToken) -> Generator[GenerationEvent]:
        """Answer `request`; see `Backend.generate`. Leaving the iterator early stops the generation."""
        self._check_open()
        window = self.info.context_length
        characters = sum(len(message.content) for message in request.messages)
        if characters > window * _LONGEST_TOKEN:
            raise self._overflow(f"the prompt has {characters:,} characters")
        self._interrupt()
        try:
            yield from self._answer(request, cancel)
        finally:
            if not self._closed:
                self._hurry.clear()
                self._thread.submit(self._rest)

    def _answer(self, request: GenerationRequest, cancel: CancelToken) -> Generator[GenerationEvent]:
        # On the engine thread, so that a template or a text that takes long does not keep signals waiting.
        tokens = self._thread.run(lambda: self._prompts.write(request.messages).tokens)
        window = self.info.context_length
        if len(tokens) >= window:
            raise self._overflow(f"the prompt has {len(tokens):,} tokens")
        if not tokens:
            raise UsageError("the template writes nothing for this conversation", "give another: --template FILE")
        values = sampling.decide(request.sampling)
        limit = window - len(tokens) if request.max_tokens is None else min(request.max_tokens, window - len(tokens))
        events: SimpleQueue[QueuedEvent] = SimpleQueue()
        plan = self._thread.run(lambda: self._plan(request, cancel))
        if plan:
            self._vocabulary.prepare()
        job = Job(tokens, values, limit, request.stop, plan)
        work = Generation(self._model, self._cache, self._vocabulary, job, cancel, events)
        self._cancel = cancel
        self._opening = tuple(itertools.takewhile(lambda message: message.role == "system", request.messages))
        self._context.allow()
        with cancel.calling(self._context.abort):
            self._thread.submit(lambda: self._run(work))
            yield from _forwarded(events, self._context.abort)

    def _plan(self, request: GenerationRequest, cancel: CancelToken) -> constraint_grammar.Plan | None:
        """What the answer is held to; nothing where a cancel came first."""
        try:
            return constraint_grammar.plan(request, lambda: not cancel.cancelled)
        except UsageError:
            if cancel.cancelled:
                return None
            raise

    def _run(self, work: Generation) -> None:
        self._worth_keeping = False
        work.run()
        self._worth_keeping = work.answered

    def _overflow(self, size: str) -> ContextOverflow:
        window, trained = self.info.context_length, self._model.trained_context_length
        wider = f", or widen the window with --ctx (up to {trained:,})" if trained > window else ""
        return ContextOverflow(f"{size}, the window {window:,} tokens", f"shorten it{wider}")


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
