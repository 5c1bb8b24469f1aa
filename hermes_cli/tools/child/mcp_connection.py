"""One MCP server and the client connected to it."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    Implementation,
    Prompt,
    Resource,
    ResourceTemplate,
    ServerNotification,
    ToolListChangedNotification,
)

from hermes_cli import __version__
from hermes_cli.errors import shortened
from hermes_cli.tools.child.mcp_results import described
from hermes_cli.tools.child.mcp_stdio import ServerProcess

_MOST_TOOLS = 1000
_MOST_LISTED = 100
_LONGEST_TEXT = 1000
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_LARGEST_DEFINITIONS = 2_000_000  # characters, so that those of several servers fit into one answer


class Connection:
    """A server by its definition: `name`, `start_s`, and `command`, `variables`, `log`, or `url`, `headers`."""

    def __init__(self, server: dict[str, Any], offered: dict[str, dict[str, Any]] | None = None) -> None:
        self.server, self.name = server, str(server["name"])
        self.tools: dict[str, dict[str, Any]] = {}
        self.offered = offered or {}  # as the program knows them; they are called only as such
        self._tools_changed = False
        self._process: ServerProcess | None = None
        self._client: Client | None = None
        self._problem = ""
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def client(self) -> Client:
        """The open client. Raises RuntimeError if there is none."""
        if self._client is None:
            raise RuntimeError(f"the MCP server {self.name} is not running")
        return self._client

    @property
    def is_remote(self) -> bool:
        """Whether it is at a URL: nothing is started here, and connecting again costs nothing."""
        return "url" in self.server

    @property
    def ended(self) -> str:
        """Why the server can no longer answer; empty while it can."""
        return self._problem or (self._process.ended if self._process else "")

    @ended.setter
    def ended(self, problem: str) -> None:
        self._problem = problem

    async def open(self) -> dict[str, Any]:
        """Start the server and list its tools. Raises RuntimeError with what failed, also after its `start_s`."""
        started = time.monotonic()
        ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        # The client must be closed by the task that opened it.
        self._task = asyncio.create_task(self._run(ready))
        try:
            found = await asyncio.wait_for(ready, self.server["start_s"])
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        except TimeoutError:
            self._problem = f"did not start within {self.server['start_s']:g} s"
            self._task.cancel()
            raise RuntimeError(self._problem) from None
        except Exception as error:
            self._problem = self.ended or in_words(error)
            raise RuntimeError(self._problem) from error
        self.offered = self.offered or self.tools
        return {**found, "start_s": time.monotonic() - started}

    async def refresh(self) -> None:
        """List the tools again, if the server said that they changed. Raises what failed."""
        if self._tools_changed:
            await self._list_tools(self.client)
            self._tools_changed = False

    async def catalog(self) -> dict[str, list[dict[str, Any]]]:
        """The first page of its resources, templates of their addresses, and prompts with their arguments."""
        found: dict[str, list[dict[str, Any]]] = {"resources": [], "prompts": []}
        if self.client.server_capabilities.resources:
            resources = (await self.client.list_resources()).resources
            found["resources"] = [_entry(one, uri=str(one.uri)) for one in resources[:_MOST_LISTED]]
            with suppress(MCPError):  # many servers have no templates
                templates = (await self.client.list_resource_templates()).resource_templates
                found["resources"] += [_entry(one, uri=one.uri_template) for one in templates[:_MOST_LISTED]]
        if self.client.server_capabilities.prompts:
            prompts = (await self.client.list_prompts()).prompts
            found["prompts"] = [
                _entry(one, arguments={each.name: bool(each.required) for each in one.arguments or ()})
                for one in prompts[:_MOST_LISTED]
            ]
        return found

    async def close(self) -> None:
        """End the connection, and the server's process."""
        self._stop.set()
        if self._task:
            await asyncio.wait([self._task])

    async def _run(self, ready: "asyncio.Future[dict[str, Any]]") -> None:
        try:
            info = Implementation(name="hermes", version=__version__)
            async with (
                Client(self._transport(), client_info=info, cache=None, message_handler=self._heard) as client,
                anyio.create_task_group() as tasks,
            ):
                self._client = client
                found = await self._facts(client)
                if not ready.done():
                    ready.set_result(found)
                tasks.start_soon(self._watch, client)
                await self._stop.wait()
                tasks.cancel_scope.cancel()
        except Exception as error:
            if ready.done():
                self._problem = self._problem or f"cannot be reached: {in_words(error)}"
            else:
                ready.set_exception(error)

    async def _heard(self, message: ServerNotification | Exception) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._tools_changed = True

    async def _watch(self, client: Client) -> None:
        """Have servers of the protocol of 2026 report changes too; older ones do so unasked."""
        with suppress(MCPError, RuntimeError, TimeoutError):
            async with client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    self._tools_changed = True

    async def _facts(self, client: Client) -> dict[str, Any]:
        begun = time.monotonic()
        await self._list_tools(client)
        info = client.server_info
        return {
            "title": info.name if info else "",
            "version": info.version if info else "",
            "protocol": client.protocol_version,
            "tools": list(self.tools.values()),
            "latency_s": time.monotonic() - begun,
        }

    async def _list_tools(self, client: Client) -> None:
        tools: dict[str, dict[str, Any]] = {}
        cursor: str | None = None
        while client.server_capabilities.tools and len(tools) < _MOST_TOOLS:
            page = await client.list_tools(cursor=cursor)
            tools |= {tool.name: described(tool) for tool in page.tools[: _MOST_TOOLS - len(tools)]}
            cursor = page.next_cursor
            if not cursor or not page.tools:
                break
        if sum(len(json.dumps(tool)) for tool in tools.values()) > _LARGEST_DEFINITIONS:
            self._problem = f"sent tool definitions longer than {_LARGEST_DEFINITIONS:,} characters"
            raise RuntimeError(self._problem)
        self.tools = tools

    def _transport(self) -> AbstractAsyncContextManager[TransportStreams]:
        if command := self.server.get("command"):
            self._process = ServerProcess(command, self.server["variables"], Path(self.server["log"]))
            return self._process.streams()
        return _http(self.server["url"], self.server["headers"])


def _entry(one: Resource | ResourceTemplate | Prompt, **more: Any) -> dict[str, Any]:
    return {"name": one.name, "description": shortened(one.description or "", _LONGEST_TEXT), **more}


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
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return _ERRNO.sub("", str(error)).strip() or type(error).__name__
