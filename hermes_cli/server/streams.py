"""Server-sent events over HTTP: pings during silence, and an end as soon as the client leaves or stops reading."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hermes_cli.server.protocol.api_error import ApiError

PING_S = 5.0
_SLOWEST_READER_S = 30.0
_PING = b":\n\n"
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_Result = TypeVar("_Result")


class ClientGone(Exception):
    """The client closed the connection, or stopped reading."""


class EventStream(Response):
    """A response of `first` and the other frames; they are closed however it ends. An ApiError is the last frame."""

    media_type = "text/event-stream"

    def __init__(
        self,
        first: bytes,
        frames: AsyncGenerator[bytes],
        headers: Mapping[str, str],
        slowest_reader_s: float = _SLOWEST_READER_S,
    ) -> None:
        super().__init__(headers={**_HEADERS, **headers})
        del self.headers["content-length"]
        self._first, self._frames, self._slowest_reader_s = first, frames, slowest_reader_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            with suppress(ClientGone):
                await unless_gone(receive, self._send(send))
        finally:
            await self._frames.aclose()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._send_frame(send, self._first)
        try:
            async for frame in self._frames:
                await self._send_frame(send, frame)
        except ApiError as error:
            await self._send_frame(send, sse(error.body()))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_frame(self, send: Send, frame: bytes) -> None:
        try:
            async with asyncio.timeout(self._slowest_reader_s):
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        except TimeoutError:
            raise ClientGone from None


def sse(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n\n"


async def with_pings(frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
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
            with suppress(asyncio.CancelledError, StopAsyncIteration, ApiError):
                await following
        await frames.aclose()


async def unless_gone(receive: Receive, work: Awaitable[_Result]) -> _Result:
    """The result of `work`, which is cancelled as soon as the client disconnects. Raises ClientGone then."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError, ApiError, ClientGone):
                await task


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
