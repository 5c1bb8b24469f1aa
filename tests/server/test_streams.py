"""Streams end when their client leaves, and always close their frames."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from hermes_cli.server.protocol.api_error import unavailable
from hermes_cli.server.streams import EventStream, with_pings


class Client:
    """The other side of a response: collects what is sent, stops reading or leaves after some messages."""

    def __init__(self, *, reads: int = 1000, leaves: bool = False) -> None:
        self.messages: list[Any] = []
        self._reads, self._gone = reads, asyncio.Event()
        if leaves:
            self._gone.set()

    async def receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        if len(self.messages) > self._reads:
            await asyncio.Event().wait()

    @property
    def body(self) -> bytes:
        """What has arrived."""
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def complete(self) -> bool:
        """Whether the response has ended."""
        return self.messages[-1].get("more_body") is False


closed: list[str] = []


async def frames(end: BaseException | None = None, pause_s: float = 0.0) -> AsyncGenerator[bytes]:
    try:
        yield b"one"
        await asyncio.sleep(pause_s)
        yield b"two"
        if end:
            raise end
    finally:
        closed.append("frames")


def run(client: Client, source: AsyncGenerator[bytes]) -> None:
    async def main() -> None:
        stream = with_pings(source)
        response = EventStream(await anext(stream), stream, {}, slowest_reader_s=0.2)
        await response({"type": "http"}, client.receive, client.send)

    closed.clear()
    asyncio.run(asyncio.wait_for(main(), 20))
    assert closed == ["frames"]


def test_a_stream_is_sent_to_its_end() -> None:
    client = Client()
    run(client, frames())
    assert (client.body, client.complete) == (b"onetwo", True)


def test_an_error_is_the_last_frame() -> None:
    client = Client()
    run(client, frames(unavailable("the server is shutting down")))
    assert client.complete and client.body.startswith(b'onetwodata: {"error":{"message":"the server is shutting')


def test_a_client_that_leaves_ends_the_stream() -> None:
    client = Client(leaves=True)
    run(client, frames(pause_s=60))
    assert not client.complete and b"two" not in client.body


@pytest.mark.parametrize("reads", [1, 2])
def test_a_client_that_stops_reading_is_disconnected(reads: int) -> None:
    client = Client(reads=reads)
    run(client, frames())
    assert not client.complete
