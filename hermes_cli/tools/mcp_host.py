"""The main process's side of the process that runs the MCP clients of a session: start, call, end."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hermes_cli import paths
from hermes_cli.chat.request import TOOL_TIMEOUT_S, CancelToken
from hermes_cli.errors import LoadCancelled, UsageError
from hermes_cli.network.proxies import NETWORK_VARIABLES
from hermes_cli.tools.child.channel import Channel
from hermes_cli.tools.child.process import CallFailed, Limits, environment
from hermes_cli.tools.mcp_server import McpServer
from hermes_cli.tools.mcp_text import visible

_NOTIFY_S = 2.0  # for the answer to a cancelled call
_LIST_S = 5.0
_CLOSE_S = 2.5
_NOT_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9_-]")


class McpHost:
    """The servers of a session in one child process, which ends with the program."""

    def __init__(self) -> None:
        self._servers: dict[str, McpServer] = {}
        self._channel: Channel | None = Channel("mcp_host", environment(NETWORK_VARIABLES))
        self.places: Mapping[str, tuple[str, str]] = {}  # a tool's name for the model: its server and name there

    @property
    def ended(self) -> bool:
        """Whether the process has ended, and the servers with it."""
        return self._channel is None

    def start(
        self, servers: Sequence[McpServer], start_s: float | None = None, cancel: CancelToken | None = None
    ) -> dict[str, Any]:
        """Start these servers at the same time, in addition to running ones; the report of each, or its `error`.

        Each may take `start_s`, or its own time. Raises LoadCancelled, UsageError.
        """
        self._servers |= {server.name: server for server in servers}
        found: dict[str, Any] = {}
        asked = []
        for server in servers:
            try:
                asked.append({**_definition(server), "start_s": start_s or server.start_s})
            except UsageError as problem:
                found[server.name] = {"error": problem.message}
        try:
            # The import of the SDK takes a moment of its own.
            longest_s = max((one["start_s"] for one in asked), default=0.0)
            limits = Limits(longest_s + 15, cancel)
            found |= self._ask({"start": asked, "timeout_s": longest_s + 10}, limits)
        except CallFailed as problem:
            if cancel and cancel.cancelled:
                raise LoadCancelled("starting the MCP servers was stopped", "run the command again") from problem
            raise UsageError(
                f"the MCP servers cannot be started: {problem}", "check them: hermes mcp test"
            ) from problem
        return found

    def keep(self, names: Sequence[str]) -> None:
        """End all servers but these."""
        with suppress(CallFailed):
            self._ask({"keep": names, "timeout_s": _CLOSE_S}, Limits(_CLOSE_S))

    def changed(self) -> dict[str, Any]:
        """The `tools` of each server whose definitions changed since they were listed last; empty if it fails."""
        try:
            found: dict[str, Any] = self._ask({"changed": True, "timeout_s": _LIST_S}, Limits(_LIST_S + _NOTIFY_S))
        except CallFailed:
            return {}
        return found

    def run(self, name: str, arguments: Mapping[str, Any], limits: Limits) -> Any:
        """The result of a call. Raises CallFailed."""
        server, tool = self.places[name]
        timeout_s = self._servers[server].timeout or limits.timeout_s
        request = {"call": tool, "server": server, "arguments": dict(arguments), "timeout_s": timeout_s}
        return visible(self._ask(request, limits.with_timeout(timeout_s + _NOTIFY_S)))

    def catalog(self, server: str) -> dict[str, Any]:
        """The `resources` and `prompts` that a server lists. Raises CallFailed."""
        found: dict[str, Any] = self._asked({"catalog": server})
        return found

    def resource(self, server: str, uri: str) -> str:
        """The text of a resource. Raises CallFailed."""
        return str(self._asked({"read": uri, "server": server}))

    def prompt(self, server: str, name: str, arguments: Mapping[str, str]) -> str:
        """The text of a prompt. Raises CallFailed."""
        return str(self._asked({"prompt": name, "server": server, "arguments": dict(arguments)}))

    def _asked(self, request: Mapping[str, Any]) -> Any:
        """The answer to a request other than a call, with hidden text made visible. Raises CallFailed."""
        return visible(self._ask({**request, "timeout_s": TOOL_TIMEOUT_S}, Limits(TOOL_TIMEOUT_S + _NOTIFY_S)))

    def close(self) -> None:
        """End the servers, as the protocol has it if they follow it, and the process."""
        channel, self._channel = self._channel, None
        if channel:
            try:
                channel.ask({"close": True, "timeout_s": _CLOSE_S}, Limits(_CLOSE_S))
            except CallFailed:
                pass
            finally:
                channel.close()

    def _ask(self, request: Mapping[str, Any], limits: Limits) -> Any:
        if self._channel is None:
            raise CallFailed("the MCP servers were ended")
        try:
            answer = self._channel.ask(request, limits)
        except CallFailed:
            self._cancel()
            raise
        match answer:
            case {"value": value}:
                return value
            case {"error": str(error)}:
                raise CallFailed(visible(error))
        raise CallFailed("the process of the MCP servers gave no answer")

    def _cancel(self) -> None:
        """Let the server know that its answer is not awaited any more; a host that is stuck is ended."""
        assert self._channel
        try:
            self._channel.ask({"cancel": True}, Limits(_NOTIFY_S))
        except CallFailed:
            self._channel.close()
            self._channel = None


def _definition(server: McpServer) -> dict[str, Any]:
    """What the host has to know. Raises UsageError for a variable that is not set."""
    if server.url:
        return {"name": server.name, "url": server.url, "headers": server.sent_headers()}
    log = log_file(server.name)
    variables = {**environment(), **server.variables()}
    return {"name": server.name, "command": [server.command, *server.args], "variables": variables, "log": str(log)}


def log_file(name: str) -> Path:
    """What a server wrote to stderr since it was started last."""
    return paths.cache_folder() / "mcp" / f"{_NOT_IN_FILE_NAMES.sub('-', name)}.log"
