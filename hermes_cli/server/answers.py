"""Answers in the making: generations run one after another, their events become frames or one object."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from hermes_cli.chat.events import Finished, PromptProgress
from hermes_cli.chat.request import GenerationRequest
from hermes_cli.errors import HermesError
from hermes_cli.server.api_error import ApiError, from_error, unavailable
from hermes_cli.server.frames import (
    ChatChoice,
    Head,
    TextChoice,
    progress_object,
    sse,
    timings_object,
    usage_object,
)
from hermes_cli.server.host import ModelHost
from hermes_cli.server.requests import Asked

PING_S = 5.0
_PING = b":\n\n"
_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
Choice = ChatChoice | TextChoice
Prepare = Callable[[], Awaitable[list[tuple[GenerationRequest, Choice]]]]


async def respond(
    host: ModelHost, asked: Asked, head: Head, prepare: Prepare, request: Request, client: str
) -> Response:
    """The response to a request that is understood, streamed or whole. Raises ApiError."""
    if host.closing:
        raise unavailable("the server is shutting down")
    host.turns.check_room(client)
    host.counters.requests += 1
    headers = {"x-hermes-ignored": ", ".join(asked.ignored)} if asked.ignored else {}
    if asked.stream:
        frames = _frames(host, asked, head, prepare, client)
        return StreamingResponse(_with_pings(frames), media_type="text/event-stream", headers=_STREAM_HEADERS | headers)
    body = await _unless_gone(request, _whole(host, asked, head, prepare, client))
    return JSONResponse(body, headers=headers)


async def _whole(host: ModelHost, asked: Asked, head: Head, prepare: Prepare, client: str) -> dict[str, Any]:
    choices: list[Choice] = []
    async with host.turns.turn(client):
        try:
            for generation, choice in await prepare():
                choices.append(choice)
                if generation.max_tokens != 0:
                    await _run(host, generation, choice)
        except HermesError as error:
            host.counters.failures += 1
            raise from_error(error) from error
    finished = [choice.finished for choice in choices if choice.finished]
    body = head.object(
        [choice.message() if isinstance(choice, ChatChoice) else choice.whole() for choice in choices],
        usage=usage_object([one.usage for one in finished]),
    )
    if finished:
        body |= {"timings": timings_object(finished[-1]), "seed": finished[0].seed}
    if warnings := _warnings(asked):
        body["warnings"] = warnings
    return body


async def _run(host: ModelHost, generation: GenerationRequest, choice: Choice) -> None:
    async with aclosing(host.events(generation)) as events:  # type: ignore[type-var]
        async for event in events:
            choice.deltas(event)
            if isinstance(choice, ChatChoice) and choice.complete:
                return


async def _frames(host: ModelHost, asked: Asked, head: Head, prepare: Prepare, client: str) -> AsyncIterator[bytes]:
    """The frames of a streamed answer; an error in its middle is a frame of its own, and the last one."""
    finished: list[Finished] = []
    try:
        async with host.turns.turn(client):
            pairs = await prepare()
            usage_later = {"usage": None} if asked.include_usage else {}
            for _, choice in pairs:
                if isinstance(choice, ChatChoice):
                    opening = {"role": "assistant", "content": ""}
                    yield sse(head.object([{"index": choice.index, "delta": opening, "finish_reason": None}]))
            for generation, choice in pairs:
                async with aclosing(host.events(generation)) as events:  # type: ignore[type-var]
                    async for event in events:
                        if isinstance(event, PromptProgress) and asked.progress:
                            yield sse(_progress_frame(head, choice, event))
                        for delta in choice.deltas(event):
                            yield sse(head.object([delta], **usage_later))
                        if isinstance(event, Finished):
                            finished.append(event)
                        elif isinstance(choice, ChatChoice) and choice.complete:
                            end = {"index": choice.index, "delta": {}, "finish_reason": choice.finish_reason}
                            yield sse(head.object([end]))
                            break
        if asked.include_usage:
            yield sse(head.object([], usage=usage_object([one.usage for one in finished])))
        yield b"data: [DONE]\n\n"
    except HermesError as error:
        host.counters.failures += 1
        yield sse(from_error(error).body())
    except ApiError as error:
        host.counters.failures += 1
        yield sse(error.body())


def _progress_frame(head: Head, choice: Choice, progress: PromptProgress) -> dict[str, Any]:
    empty: dict[str, Any] = {"delta": {}} if isinstance(choice, ChatChoice) else {"text": ""}
    frame = {"index": choice.index, **empty, "finish_reason": None}
    return head.object([frame], prompt_progress=progress_object(progress))


async def _with_pings(frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The frames, with a comment after every few seconds of silence, so that nothing in between times out."""
    following: asyncio.Future[bytes] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(frames))
            done, _ = await asyncio.wait([following], timeout=PING_S)
            if not done:
                yield _PING
                continue
            try:
                frame = following.result()
            except StopAsyncIteration:
                return
            finally:
                following = None
            yield frame
    finally:
        if following:
            following.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await following
        await frames.aclose()  # type: ignore[attr-defined]


async def _unless_gone(request: Request, work: Any) -> Any:
    """The result of `work`, which is cancelled as soon as the client disconnects. Raises ApiError then."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            raise ApiError(499, "invalid_request_error", "the client closed the connection")
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _warnings(asked: Asked) -> list[str]:
    return [f"{name} was ignored" for name in asked.ignored]


def for_prompt(request: GenerationRequest, ids: tuple[int, ...]) -> GenerationRequest:
    """The request of a raw completion with its prompt as token ids."""
    return replace(request, prompt=ids)
