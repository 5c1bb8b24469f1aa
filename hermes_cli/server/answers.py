"""Runs the generations of a request one after another, and turns their events into frames or one object."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hermes_cli.chat.events import Finished, GenerationEvent, PromptProgress, Timings, Usage
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.errors import HermesError
from hermes_cli.server.host import ModelHost
from hermes_cli.server.protocol.api_error import ApiError, from_error, unavailable
from hermes_cli.server.protocol.frames import (
    ChatChoice,
    Head,
    TextChoice,
    progress_object,
    timings_object,
    usage_object,
)
from hermes_cli.server.protocol.requests import ParsedRequest
from hermes_cli.server.streams import ClientGone, EventStream, sse, unless_gone, with_pings

_MOST_NAMED = 20  # ignored fields in one answer
Choice = ChatChoice | TextChoice
Pairs = Sequence[tuple[GenerationRequest, Choice]]
Prepare = Callable[[], Awaitable[Pairs]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; `prepare` makes its generations and choices when it is the `client`'s turn."""

    host: ModelHost
    parsed: ParsedRequest
    head: Head
    prepare: Prepare
    client: str

    async def response(self, request: Request) -> Response:
        """The response, streamed or whole. Raises ApiError.

        A stream begins with its first frame or ping, so that an error before it has an HTTP status of its own.
        """
        _check_open(self.host)
        self.host.counters.requests += 1
        ignored = [name[:60] for name in self.parsed.ignored[:_MOST_NAMED]]
        headers = {"x-hermes-ignored": ", ".join(quote(name, safe="[]") for name in ignored)} if ignored else {}
        if self.parsed.stream:
            frames = with_pings(self._frames())
            return EventStream(await _unless_gone(request, anext(frames)), frames, headers)
        body = await _unless_gone(request, self._whole())
        if ignored:
            body["warnings"] = [f"{name} was ignored" for name in ignored]
        return JSONResponse(body, headers=headers)

    async def _whole(self) -> dict[str, Any]:
        async with self.host.turns.turn(self.client):
            with _failures(self.host):
                pairs = await self.prepare()
                for generation, choice in pairs:
                    async with aclosing(_steps(self.host, generation, choice)) as steps:
                        async for _ in steps:
                            pass
        return self.head.object([choice.whole() for _, choice in pairs], **self._totals(pairs))

    async def _frames(self) -> AsyncGenerator[bytes]:
        """The frames of a streamed answer. Raises ApiError, also in its middle."""
        async with self.host.turns.turn(self.client):
            with _failures(self.host):
                pairs = await self.prepare()
                async with aclosing(self._chunks(pairs)) as chunks:
                    async for chunk in chunks:
                        yield sse(chunk)
        if self.parsed.include_usage:
            yield sse(self.head.object([], **self._totals(pairs)))
        yield b"data: [DONE]\n\n"

    def _totals(self, pairs: Pairs) -> dict[str, Any]:
        finished = [choice.finished for _, choice in pairs if choice.finished]
        usage = usage_object([one.usage for one in finished], self.parsed.choices)
        return {"usage": usage, "timings": timings_object(finished[-1]), "seed": finished[0].seed}

    async def _chunks(self, pairs: Pairs) -> AsyncGenerator[dict[str, Any]]:
        """The chunks of a streamed answer; the first event opens every choice, so that their order is that of `n`."""
        usage_later = {"usage": None} if self.parsed.include_usage else {}
        unopened = [choice for _, choice in pairs]
        for generation, choice in pairs:
            cached: int | None = None
            async with aclosing(_steps(self.host, generation, choice)) as steps:
                async for event, deltas in steps:
                    for delta in (delta for one in unopened for delta in one.opening()):
                        yield self.head.object([delta], **usage_later)
                    unopened.clear()
                    if isinstance(event, PromptProgress) and self.parsed.progress:
                        cached = event.read_tokens if cached is None else cached
                        progress = progress_object(event, cached)
                        yield self.head.object([choice.nothing()], prompt_progress=progress, **usage_later)
                    for delta in deltas:
                        yield self.head.object([delta], **usage_later)


async def _steps(
    host: ModelHost, generation: GenerationRequest, choice: Choice
) -> AsyncGenerator[tuple[GenerationEvent, list[dict[str, Any]]]]:
    """Each event of a generation with the deltas it makes; a complete choice stops the generation."""
    if generation.prompt and generation.max_tokens == 0:  # only scored or sent back, so it may fill the context
        nothing = Finished("length", Usage(prompt_tokens=len(generation.prompt)), Timings(), 0, len(generation.prompt))
        yield nothing, choice.deltas(nothing)
        return
    cancel = CancelToken()
    async with aclosing(host.events(generation, cancel)) as events:
        async for event in events:
            if isinstance(event, Finished) and event.reason == "cancelled" and not choice.complete:
                raise unavailable("the server is shutting down" if host.closing else "the answer was read too slowly")
            yield event, choice.deltas(event)
            if choice.complete:
                cancel.cancel("complete")


@contextmanager
def _failures(host: ModelHost) -> Iterator[None]:
    """Count errors, and raise them as ApiError."""
    _check_open(host)
    try:
        yield
    except HermesError as error:
        host.counters.failures += 1
        raise from_error(error) from error


def _check_open(host: ModelHost) -> None:
    if host.closing:
        raise unavailable("the server is shutting down")


async def _unless_gone(request: Request, work: Awaitable[Any]) -> Any:
    try:
        return await unless_gone(request.receive, work)
    except ClientGone:
        raise ApiError(499, "invalid_request_error", "the client closed the connection") from None
