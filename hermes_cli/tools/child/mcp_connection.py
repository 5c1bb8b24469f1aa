"""One MCP server and the client connected to it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation

from hermes_cli import __version__
from hermes_cli.tools.child.mcp_results import described
from hermes_cli.tools.child.mcp_stdio import ServerProcess

_START_S = 15.0
_MOST_TOOLS = 1000
_LARGEST_DEFINITIONS = 2_000_000  # characters, so that those of several servers fit into one answer


class Connection:
    """A server by its definition: `name`, and `command`, `variables` and `log`, or `url` and `headers`."""

    def __init__(self, server: dict[str, Any]) -> None:
        self.server, self.name = server, str(server["name"])
        self.tools: dict[str, dict[str, Any]] = {}
        self._process: ServerProcess | None = None
        self._client: Client | None = None
        self._problem = ""
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def client(self) -> Client:
        """The open client. Raises RuntimeError where there is none."""
        if self._client is None:
            raise RuntimeError(f"the MCP server {self.name} is not running")
        return self._client

    @property
    def ended(self) -> str:
        """Why the server can no longer answer; empty while it can."""
        return self._problem or (self._process.ended if self._process else "")

    @ended.setter
    def ended(self, problem: str) -> None:
        self._problem = problem

    async def open(self, budget_s: float = _START_S) -> dict[str, Any]:
        """Start the server and list its tools. Raises what failed, TimeoutError after `budget_s`."""
        started = time.monotonic()
        ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        # The client must be closed by the task that opened it.
        self._task = asyncio.create_task(self._run(ready))
        try:
            found = await asyncio.wait_for(ready, budget_s)
        except TimeoutError:
            self._problem = f"did not start within {budget_s:g} s"
            self._task.cancel()
            raise RuntimeError(self._problem) from None
        except Exception as error:
            self._problem = self.ended or in_words(error)
            raise RuntimeError(self._problem) from error
        return {**found, "start_s": time.monotonic() - started}

    async def close(self) -> None:
        """End the connection, and the server's process."""
        self._stop.set()
        if self._task:
            await asyncio.wait([self._task])

    async def _run(self, ready: "asyncio.Future[dict[str, Any]]") -> None:
        try:
            info = Implementation(name="hermes", version=__version__)
            async with Client(self._transport(), client_info=info, cache=None) as client:
                self._client = client
                found = await self._listed(client)
                if not ready.done():
                    ready.set_result(found)
                await self._stop.wait()
        except Exception as error:
            if ready.done():
                self._problem = self._problem or in_words(error)
            else:
                ready.set_exception(error)

    async def _listed(self, client: Client) -> dict[str, Any]:
        begun = time.monotonic()
        cursor: str | None = None
        while client.server_capabilities.tools and len(self.tools) < _MOST_TOOLS:
            page = await client.list_tools(cursor=cursor)
            latency_s = time.monotonic() - begun
            self.tools |= {tool.name: described(tool) for tool in page.tools[: _MOST_TOOLS - len(self.tools)]}
            cursor = page.next_cursor
            if not cursor or not page.tools:
                break
        else:
            latency_s = time.monotonic() - begun
        if sum(len(json.dumps(tool)) for tool in self.tools.values()) > _LARGEST_DEFINITIONS:
            self._problem = f"sent tool definitions longer than {_LARGEST_DEFINITIONS:,} characters"
            raise RuntimeError(self._problem)
        info = client.server_info
        return {
            "title": info.name if info else "",
            "version": info.version if info else "",
            "protocol": client.protocol_version,
            "tools": list(self.tools.values()),
            "latency_s": latency_s,
        }

    def _transport(self) -> AbstractAsyncContextManager[TransportStreams]:
        if command := self.server.get("command"):
            self._process = ServerProcess(command, self.server["variables"], Path(self.server["log"]))
            return self._process.streams()
        return _http(self.server["url"], self.server["headers"])


@asynccontextmanager
async def _http(url: str, headers: dict[str, str]) -> AsyncIterator[TransportStreams]:
    timeout = httpx2.Timeout(30.0, read=300.0)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


def in_words(error: BaseException) -> str:
    """The message of an error; of a group, that of its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error).strip() or type(error).__name__
