"""llama.cpp as a `Backend`: load a GGUF, read prompts with the KV cache reused, decode, and stop at once when asked.

All native work runs on one engine thread; `generate` only forwards its events. The ledger lists the tokens in the
KV cache and is the truth: a new prompt keeps the longest common prefix and reads the rest.
"""

import itertools
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from hermes_cli.chat.events import Finished, FinishReason, GenerationEvent, PromptProgress, TextDelta, Timings, Usage
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.engine import context_length, hardware, probe, sampling
from hermes_cli.engine.backend import BackendInfo
from hermes_cli.engine.engine_thread import EngineThread, wait
from hermes_cli.engine.native_context import Context, DecodeAborted, Sampler
from hermes_cli.engine.native_model import KvType, Model
from hermes_cli.engine.prompt import PromptWriter
from hermes_cli.engine.text_stream import TextStream
from hermes_cli.errors import ContextOverflow, EngineError, HermesError

GPU_BATCH_TOKENS = 512
_EMIT_S = 0.015
_ONE_THREAD_BYTES = 100_000_000
_Event = GenerationEvent | BaseException | None


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to open a model; None leaves the choice to what this machine can do."""

    context_length: int | None = None
    gpu_layers: int | None = None
    kv_type: KvType = "f16"
    threads: int | None = None
    template: str = "auto"


def open_backend(
    path: Path,
    options: LoadOptions | None = None,
    *,
    cancel: CancelToken | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> "LocalBackend":
    """Load the GGUF at `path`. `on_progress` gets 0 to 1 on the engine thread. Raises EngineError, LoadCancelled."""
    return LocalBackend(path, options or LoadOptions(), cancel or CancelToken(), on_progress)


class LocalBackend:
    """One model and one KV cache in this process."""

    def __init__(
        self, path: Path, options: LoadOptions, cancel: CancelToken, on_progress: Callable[[float], None] | None
    ) -> None:
        started = time.perf_counter()
        self._ledger: list[int] = []
        self._options = options
        self._thread = EngineThread()

        def progress(fraction: float) -> bool:
            if on_progress:
                on_progress(fraction)
            return not cancel.cancelled

        try:
            self._model, self._context = self._thread.run(lambda: _load(path, options, progress))
        except BaseException:
            self._thread.close()
            raise
        self._closed = False
        try:
            self._prompts = PromptWriter(self._model, options.template)
        except HermesError:
            self.close()
            raise
        self.info = BackendInfo(
            model_name=self._model.metadata("general.name") or path.stem,
            description=self._model.description,
            context_length=self._context.context_length,
            load_s=time.perf_counter() - started,
        )

    def __enter__(self) -> "LocalBackend":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the cache and the model; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._context.abort()
            self._thread.run(self._free)
            self._thread.close()

    def _free(self) -> None:
        self._context.close()
        self._model.close()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("this model was closed", "open it again")

    def count_tokens(self, messages: tuple[Message, ...]) -> int:
        """How many tokens a request with these messages takes up in the window."""
        self._check_open()
        return len(self._prompts.write(messages).tokens)

    def control_text(self, messages: tuple[Message, ...]) -> tuple[str, ...]:
        """Markers of the model that are spelled out in the messages, where they count as ordinary text."""
        return self._prompts.control_text(messages)

    def generate(self, request: GenerationRequest, cancel: CancelToken) -> Generator[GenerationEvent]:
        """Answer `request`; see `Backend.generate`. Leaving the iterator early stops the generation."""
        self._check_open()
        tokens = self._prompts.write(request.messages).tokens
        window = self.info.context_length
        if len(tokens) >= window:
            raise ContextOverflow(
                f"the prompt has {len(tokens):,} tokens, the window {window:,}",
                f"shorten it, or widen the window with --ctx (trained for {self._model.trained_context_length:,})",
            )
        values = sampling.decide(request.sampling)
        limit = window - len(tokens) if request.max_tokens is None else min(request.max_tokens, window - len(tokens))
        events: SimpleQueue[_Event] = SimpleQueue()
        work = _Generation(
            self._model, self._context, self._ledger, tokens, values, limit, request.stop, cancel, events
        )
        self._context.allow()
        with cancel.calling(self._context.abort):
            self._thread.submit(work.run)
            yield from _forwarded(events, self._context.abort)


def _forwarded(events: SimpleQueue[_Event], abort: Callable[[], None]) -> Generator[GenerationEvent]:
    """The events up to the closing None; errors are raised here, and the job has ended when this returns."""
    event: _Event = PromptProgress(0, 0)
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


def _load(path: Path, options: LoadOptions, progress: Callable[[float], bool]) -> tuple[Model, Context]:
    """The model and a context that fits into memory, with the settings that are proved to work here."""
    proved = probe.verdict()
    gpu_layers = options.gpu_layers
    if gpu_layers is None or not proved.gpu:
        gpu_layers = -1 if proved.gpu else 0
    on_gpu = gpu_layers != 0
    extra_buffers = proved.extra_buffers and hardware.gains_from_repacking()
    model = Model(path, gpu_layers=gpu_layers, extra_buffers=extra_buffers, on_progress=progress)
    try:
        if not model.can_chat:
            raise EngineError(f"{path} is not a chat model: it cannot write text", "name a chat model with --model")
        length = context_length.choose(model, options.context_length, options.kv_type, on_gpu=on_gpu)
        context = Context(
            model,
            context_length=length,
            batch_size=GPU_BATCH_TOKENS if on_gpu else context_length.CPU_BATCH_TOKENS,
            threads=options.threads or _threads(model),
            kv_type=options.kv_type,
            # Measured: on a CPU flash attention halves the speed at depth; a quantised cache cannot do without.
            flash_attention=None if on_gpu or options.kv_type != "f16" else False,
        )
    except BaseException:
        model.close()
        raise
    return model, context


def _threads(model: Model) -> int:
    """One for a tiny model: it gains little from more, and where another program takes a core they wait for seconds."""
    return 1 if model.size_bytes < _ONE_THREAD_BYTES else hardware.physical_cores()


class _Generation:
    """One answer in the making, on the engine thread."""

    def __init__(
        self,
        model: Model,
        context: Context,
        ledger: list[int],
        tokens: list[int],
        values: sampling.SamplingValues,
        limit: int,
        stop: tuple[str, ...],
        cancel: CancelToken,
        events: SimpleQueue[_Event],
    ) -> None:
        self._model, self._context, self._ledger, self._tokens = model, context, ledger, tokens
        self._values, self._limit, self._cancel = values, limit, cancel
        self._events = events
        self._stream = TextStream(stop)
        self._cached = self._written = 0
        self._started = time.perf_counter()
        self._prefilled = self._first = 0.0

    def run(self) -> None:
        """Read the prompt, write the answer, tell the end; never raises."""
        sampler: Sampler | None = None
        try:
            sampler = sampling.sampler(self._values, self._model.vocab_size)
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
        tokens, ledger = self._tokens, self._ledger
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(ledger, tokens, strict=False)))
        self._cached = min(same, len(tokens) - 1)
        self._context.keep(self._cached)
        del ledger[self._cached :]
        self._events.put(PromptProgress(self._cached, len(tokens)))
        for start in range(self._cached, len(tokens), self._context.batch_size):
            if self._cancel.cancelled:
                raise DecodeAborted
            self._decode(tokens[start : start + self._context.batch_size])
            self._events.put(PromptProgress(len(ledger), len(tokens)))
        self._prefilled = time.perf_counter()

    def _write_answer(self, sampler: Sampler) -> FinishReason:
        """Sample until the turn ends, a stop string comes or the limit is reached; text goes out every few ms."""
        model, context, feed = self._model, self._context, self._stream.feed
        pending, due = "", 0.0
        try:
            while self._written < self._limit:
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
                if self._written < self._limit:
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
        usage = Usage(len(self._tokens), self._cached, self._written)
        timings = Timings(
            prefill_s=(self._prefilled or now) - self._started,
            first_token_s=(self._first or now) - self._started,
            decode_s=now - self._first if self._first else 0.0,
        )
        return Finished(reason, usage, timings, self._values.seed)
