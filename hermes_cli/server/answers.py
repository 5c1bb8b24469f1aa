"""Answers in the making: generations run one after another, their events become frames or one object."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hermes_cli.chat.events import Finished, GenerationEvent, PromptProgress, Timings, Usage
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.errors import HermesError
from hermes_cli.server.api_error import ApiError, from_error, unavailable
from hermes_cli.server.frames import ChatChoice, Head, TextChoice, progress_object, timings_object, usage_object
from hermes_cli.server.host import ModelHost
from hermes_cli.server.requests import Asked
from hermes_cli.server.streams import ClientGone, EventStream, sse, unless_gone, with_pings

_MOST_NAMED = 20  # ignored fields in one answer
Choice = ChatChoice | TextChoice
Pairs = Sequence[tuple[GenerationRequest, Choice]]
Prepare = Callable[[], Awaitable[Pairs]]


async def respond(
    host: ModelHost, asked: Asked, head: Head, prepare: Prepare, request: Request, client: str
) -> Response:
    """The response to a request that is understood, streamed or whole. Raises ApiError.

    A stream begins with its first frame or ping, so that an error before it has an HTTP status of its own.
    """
    _check_open(host)
    host.turns.check_room(client)
    host.counters.requests += 1
    ignored = [name[:60] for name in asked.ignored[:_MOST_NAMED]]
    headers = {"x-hermes-ignored": ", ".join(quote(name, safe="[]") for name in ignored)} if ignored else {}
    if asked.stream:
        frames = with_pings(_frames(host, asked, head, prepare, client))
        return EventStream(await _unless_gone(request, anext(frames)), frames, headers)
    body = await _unless_gone(request, _whole(host, asked, head, prepare, client))
    if ignored:
        body["warnings"] = [f"{name} was ignored" for name in ignored]
    return JSONResponse(body, headers=headers)


async def _whole(host: ModelHost, asked: Asked, head: Head, prepare: Prepare, client: str) -> dict[str, Any]:
    async with host.turns.turn(client):
        with _failures(host):
            pairs = await prepare()
            for generation, choice in pairs:
                async with aclosing(_steps(host, generation, choice)) as steps:
                    async for _ in steps:
                        pass
    finished = [choice.finished for _, choice in pairs if choice.finished]
    body = head.object([choice.whole() for _, choice in pairs], usage=usage_object([one.usage for one in finished]))
    return body | {"timings": timings_object(finished[-1]), "seed": finished[0].seed}


async def _frames(host: ModelHost, asked: Asked, head: Head, prepare: Prepare, client: str) -> AsyncGenerator[bytes]:
    """The frames of a streamed answer. Raises ApiError, also in its middle."""
    async with host.turns.turn(client):
        with _failures(host):
            pairs = await prepare()
            async with aclosing(_chunks(host, asked, head, pairs)) as chunks:
                async for chunk in chunks:
                    yield sse(chunk)
    if asked.include_usage:
        finished = [choice.finished for _, choice in pairs if choice.finished]
        usage = usage_object([one.usage for one in finished])
        yield sse(head.object([], usage=usage, timings=timings_object(finished[-1])))
    yield b"data: [DONE]\n\n"


async def _chunks(host: ModelHost, asked: Asked, head: Head, pairs: Pairs) -> AsyncGenerator[dict[str, Any]]:
    """The chunks of a streamed answer; every choice is opened with the first event, so that the first comes first."""
    usage_later = {"usage": None} if asked.include_usage else {}
    unopened = [choice for _, choice in pairs]
    for generation, choice in pairs:
        cached: int | None = None
        async with aclosing(_steps(host, generation, choice)) as steps:
            async for event, deltas in steps:
                for one in unopened:
                    for delta in one.opening():
                        yield head.object([delta], **usage_later)
                unopened.clear()
                if isinstance(event, PromptProgress) and asked.progress:
                    cached = event.read_tokens if cached is None else cached
                    progress = progress_object(event, cached)
                    yield head.object([choice.nothing()], prompt_progress=progress, **usage_later)
                for delta in deltas:
                    yield head.object([delta], **usage_later)


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
