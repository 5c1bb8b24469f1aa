"""The child process that holds the clients of a session's MCP servers; the main process never imports the SDK.

Each request gets one answer, as lines of JSON; `cancel` has none of its own and ends the request before it. When the
program ends, however it ends, so do this process and all servers.
"""

import asyncio
import json
import os
import signal
import socket
import warnings
from contextlib import suppress
from typing import Any

import anyio

from hermes_cli.errors import shortened
from hermes_cli.tools.child.main import keep_the_machine_safe
from hermes_cli.tools.child.mcp_connection import Connection, in_words
from hermes_cli.tools.child.mcp_results import answer_of, prompt_of, resource_of
from hermes_cli.tools.child.mcp_stdio import adopt_orphans, descendants, kill

_LONGEST_REQUEST = 16_000_000  # bytes
_LONGEST_ERROR, _LONGEST_REASON = 2000, 500
_CALL_LATER = "it can be called again after the user's next message"


def main(channel: int) -> None:
    """Serve until the other end of `channel` closes."""
    os.set_inheritable(channel, False)
    os.environ.pop("PYTHONPATH", None)
    warnings.simplefilter("ignore")
    keep_the_machine_safe()
    adopt_orphans()
    try:
        asyncio.run(_serve(socket.socket(fileno=channel)))
    finally:
        kill(descendants(os.getpid()))
        os.killpg(0, signal.SIGKILL)


async def _serve(channel: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=channel, limit=_LONGEST_REQUEST)
    host = _Host()
    running: set[asyncio.Task[None]] = set()

    async def answer(request: dict[str, Any]) -> None:
        line = json.dumps(await host.answer(request), ensure_ascii=False).encode("utf-8", "replace")
        writer.write(line + b"\n")
        await writer.drain()

    with suppress(OSError, ValueError):
        while line := await reader.readline():
            request = json.loads(line)
            if "cancel" in request:
                host.cancel()
                continue
            task = asyncio.create_task(answer(request))
            running.add(task)
            task.add_done_callback(running.discard)
    # The program has ended.
    kill(descendants(os.getpid()))
    os.killpg(0, signal.SIGKILL)


class _Host:
    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._restarted: set[str] = set()
        self._scope: anyio.CancelScope | None = None

    def cancel(self) -> None:
        """End the request that is being answered; its server is notified."""
        if self._scope:
            self._scope.cancel()

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The `value` of one request, or an `error` in words."""
        timeout_s: float = request["timeout_s"]
        with anyio.CancelScope(deadline=anyio.current_time() + timeout_s) as scope:
            self._scope = scope
            try:
                return await self._answer(request)
            except Exception as error:
                return {"error": shortened(in_words(error), _LONGEST_ERROR)}
            finally:
                self._scope = None
        return {"error": f"the call took longer than {timeout_s:g} s and was ended"}

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request:
            case {"start": servers}:
                return {"value": await self._start(servers)}
            case {"keep": names}:
                others = [self._connections.pop(name) for name in [*self._connections] if name not in names]
                await asyncio.gather(*(one.close() for one in others))
                return {"value": None}
            case {"call": tool, "server": name, "arguments": arguments}:
                return await self._call(name, tool, arguments)
            case {"read": uri, "server": name}:
                return resource_of(await self._connections[name].client.read_resource(uri))
            case {"prompt": prompt, "server": name, "arguments": arguments}:
                return prompt_of(await self._connections[name].client.get_prompt(prompt, arguments))
            case {"catalog": name}:
                return {"value": await self._connections[name].catalog()}
            case {"changed": True}:
                return {"value": await self._changed()}
            case {"close": True}:
                await asyncio.gather(*(one.close() for one in self._connections.values()))
                return {"value": None}
        return {"error": "an unknown request"}

    async def _start(self, servers: list[dict[str, Any]]) -> dict[str, Any]:
        """Open all at once; what each brought, by name."""

        async def opened(server: dict[str, Any]) -> dict[str, Any]:
            connection = self._connections[server["name"]] = Connection(server)
            self._restarted.discard(connection.name)
            try:
                return await connection.open()
            except Exception as error:
                return {"error": shortened(in_words(error), _LONGEST_REASON)}

        found = await asyncio.gather(*map(opened, servers))
        return {server["name"]: one for server, one in zip(servers, found, strict=True)}

    async def _call(self, name: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        connection = self._connections[name]
        if connection.ended:
            if name in self._restarted and not connection.is_remote:
                return {"error": f"the MCP server {name} {connection.ended}; it was restarted once already"}
            self._restarted.add(name)
            try:
                connection = await self._restart(connection)
            except Exception as error:
                reason = shortened(in_words(error), _LONGEST_ERROR)
                return {"error": f"the MCP server {name} cannot be started again: {reason}"}
        try:
            await connection.refresh()
            if connection.tools.get(tool) != connection.offered.get(tool):
                return {"error": f"the MCP server {name} changed the definition of {tool}; {_CALL_LATER}"}
            return answer_of(await connection.client.call_tool(tool, arguments))
        except Exception as error:
            await asyncio.sleep(0.3)  # the process may be ending just now
            if connection.ended:
                return {"error": f"the MCP server {name} {connection.ended}"}
            return {"error": shortened(in_words(error), _LONGEST_ERROR)}

    async def _restart(self, old: Connection) -> Connection:
        """A new connection to the same server."""
        await old.close()
        connection = self._connections[old.name] = Connection(old.server, old.offered)
        await connection.open()
        return connection

    async def _changed(self) -> dict[str, Any]:
        """The tools of each server that defines others than it did when they were listed last."""
        found = {}
        for name, connection in self._connections.items():
            with suppress(Exception):  # a call will say what is wrong with it
                await connection.refresh()
            if connection.tools != connection.offered and not connection.ended:
                connection.offered = connection.tools
                found[name] = {"tools": list(connection.tools.values())}
        return found
