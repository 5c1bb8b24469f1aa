"""The model of the server: loaded on demand, unloaded when idle, one generation at a time on a thread of its own."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from hermes_cli.chat.events import Finished, GenerationEvent, TokenLogprob
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.engine.local import LocalBackend
from hermes_cli.server.turns import Turns

_MOST_QUEUED_EVENTS = 20_000  # a client that reads more slowly than this allows is dropped
_Result = TypeVar("_Result")


@dataclass
class Counters:
    """Totals since the start, for `/metrics`."""

    requests: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    prompt_s: float = 0.0
    completion_s: float = 0.0


@dataclass
class ModelHost:
    """Loads with `load`, and unloads after `idle_unload_s` without a request; None keeps the model."""

    load: Callable[[CancelToken], LocalBackend]
    idle_unload_s: float | None = None
    turns: Turns = field(default_factory=Turns)
    counters: Counters = field(default_factory=Counters)
    closing: bool = False
    backend: LocalBackend | None = None

    def __post_init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="generation")
        self._last_used = time.monotonic()
        self._active: set[CancelToken] = set()

    async def opened(self) -> LocalBackend:
        """The model, loaded if it is not. Call it during a turn. Raises HermesError."""
        if self.backend is None:
            await self.run(self._load)
            assert self.backend
        self._last_used = time.monotonic()
        return self.backend

    def _load(self, cancel: CancelToken) -> None:
        self.backend = self.load(cancel)  # kept even if the client has left: it may be too late to cancel

    async def loaded(self, client: str) -> LocalBackend:
        """The model for reading its vocabulary, even during a generation; loaded in a turn if it is not.

        It is valid until the caller awaits something else. Raises ApiError, HermesError.
        """
        if self.backend is None:
            async with self.turns.turn(client):
                return await self.opened()
        self._last_used = time.monotonic()
        return self.backend

    async def run(self, work: Callable[[CancelToken], _Result]) -> _Result:
        """The result of `work` on the engine's side; cancelled with the task. Raises what it raises."""
        cancel = CancelToken()
        self._active.add(cancel)
        task = asyncio.get_running_loop().run_in_executor(self._executor, work, cancel)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            cancel.cancel("disconnect")
            await asyncio.wait([task])
            task.cancelled() or task.exception()
            raise
        finally:
            self._active.discard(cancel)
            self._last_used = time.monotonic()

    async def events(self, request: GenerationRequest, cancel: CancelToken) -> AsyncGenerator[GenerationEvent]:
        """The events of a generation; leaving early stops it. Call it during a turn. Raises HermesError."""
        backend = await self.opened()
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[GenerationEvent | BaseException | None] = asyncio.Queue()
        self._active.add(cancel)

        def produce() -> None:
            try:
                with closing(backend.generate(request, cancel)) as events:
                    for event in events:
                        if queue.qsize() > _MOST_QUEUED_EVENTS:
                            cancel.cancel("too slow")
                        loop.call_soon_threadsafe(queue.put_nowait, event)
                loop.call_soon_threadsafe(queue.put_nowait, None)
            except BaseException as error:
                loop.call_soon_threadsafe(queue.put_nowait, error)

        work = loop.run_in_executor(self._executor, produce)
        try:
            while (event := await queue.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                if isinstance(event, Finished):
                    self._count(event)
                yield event
        finally:
            cancel.cancel("disconnect")
            self._active.discard(cancel)
            await asyncio.shield(work)
            self._last_used = time.monotonic()

    async def score(self, tokens: Sequence[int], top: int) -> list[TokenLogprob | None]:
        """The log probabilities of a prompt's tokens. Call it during a turn. Raises HermesError."""
        backend = await self.opened()
        return await self.run(lambda cancel: backend.score(tokens, top, cancel))

    async def unload_when_idle(self) -> None:
        """Unload again and again; a task for the lifetime of the server."""
        while self.idle_unload_s is not None:
            await asyncio.sleep(min(self.idle_unload_s / 4, 5.0))
            idle_s = time.monotonic() - self._last_used
            if self.backend and not self.turns.busy and idle_s >= self.idle_unload_s:
                async with self.turns.turn("unload"):
                    await self._unload()

    async def _unload(self) -> None:
        backend, self.backend = self.backend, None  # from here on, no request finds it
        if backend:
            await self.run(lambda _: backend.close())

    def stop_all(self) -> None:
        """Stop what runs, for the shutdown."""
        for cancel in tuple(self._active):
            cancel.cancel("shutdown")

    def close(self) -> None:
        """Unload the model; the server has ended."""
        self.stop_all()
        self._executor.shutdown(wait=True)
        if self.backend:
            self.backend.close()

    def _count(self, finished: Finished) -> None:
        usage, timings = finished.usage, finished.timings
        counters = self.counters
        counters.prompt_tokens += usage.prompt_tokens
        counters.cached_tokens += usage.cached_tokens
        counters.completion_tokens += usage.completion_tokens
        counters.prompt_s += timings.prefill_s
        counters.completion_s += timings.decode_s
