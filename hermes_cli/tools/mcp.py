"""The tools of MCP servers: their definitions made safe and named, and the calls passed on to the host process.

The servers' clients live in a child process, `child.mcp_host`. Whatever a server sends is untrusted.
"""

import hashlib
import importlib.util
import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_cli import paths
from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import LoadCancelled, UsageError
from hermes_cli.network.proxies import NETWORK_VARIABLES
from hermes_cli.tools.child.channel import Channel
from hermes_cli.tools.child.process import CallFailed, Limits, environment
from hermes_cli.tools.mcp_server import McpServer, matches
from hermes_cli.tools.tool import Tool

START_S = 15.0
_NOTIFY_S = 2.0  # for the answer to a cancelled call
_CLOSE_S = 2.5
_LONGEST_DESCRIPTION = 4000
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_TAG = re.compile(r"<(/?)(tools?|tool_call|tool_response|schema|\|[a-z_]+\|)>", re.IGNORECASE)
# Control, format, surrogate and private characters; joiners belong to emoji and scripts.
_HIDDEN = ("Cc", "Cf", "Cs", "Co")
_KEPT_HIDDEN = "\n\t\u200c\u200d\ufe0e\ufe0f"
INSTALL = "install it: pip install 'hermes-cli[mcp]'"


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a server said of itself when it started, or why it did not start."""

    server: McpServer
    problem: str = ""
    title: str = ""
    version: str = ""
    protocol: str = ""
    start_s: float = 0.0
    latency_s: float = 0.0
    annotations: Mapping[str, Mapping[str, Any]] | None = None  # by tool; claims that nothing relies on
    tools: tuple[Tool, ...] = ()


class McpHost:
    """The servers of a session in one child process, which ends with the program."""

    def __init__(self, servers: Sequence[McpServer]) -> None:
        self._servers = {server.name: server for server in servers}
        self._channel: Channel | None = Channel("mcp_host", environment(NETWORK_VARIABLES))
        self._places: dict[str, tuple[str, str]] = {}  # a tool's name for the model: its server and name there

    def start(self, start_s: float, cancel: CancelToken | None = None) -> dict[str, Any]:
        """Start all servers at once; what each said, or its `error`. Raises LoadCancelled, UsageError."""
        found: dict[str, Any] = {}
        asked = []
        for server in self._servers.values():
            try:
                asked.append(_definition(server))
            except UsageError as problem:
                found[server.name] = {"error": problem.message}
        try:
            # The import of the SDK takes a moment of its own.
            limits = Limits(start_s + 15, cancel)
            found |= self._ask({"start": asked, "budget_s": start_s, "timeout_s": start_s + 10}, limits)
        except CallFailed as problem:
            self.close()
            if cancel and cancel.cancelled:
                raise LoadCancelled("starting the MCP servers was stopped", "run the command again") from problem
            raise UsageError(
                f"the MCP servers cannot be started: {problem}", "check them: hermes mcp test"
            ) from problem
        return found

    def place(self, name: str, server: str, tool: str) -> None:
        """Let `name` call the tool of a server."""
        self._places[name] = server, tool

    def run(self, name: str, arguments: Mapping[str, Any], limits: Limits) -> Any:
        """The result of a call. Raises CallFailed."""
        server, tool = self._places[name]
        timeout_s = self._servers[server].timeout or limits.timeout_s
        request = {"call": tool, "server": server, "arguments": dict(arguments), "timeout_s": timeout_s}
        return visible(self._ask(request, limits.with_timeout(timeout_s + _NOTIFY_S)))

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


@dataclass(frozen=True, slots=True)
class McpTools:
    """The tools of all servers that started, their host to close, and a note for each that did not."""

    host: McpHost
    reports: tuple[ServerReport, ...]
    notes: tuple[str, ...]

    @property
    def tools(self) -> Iterator[tuple[Tool, McpHost]]:
        """Each tool and what runs it."""
        return ((tool, self.host) for report in self.reports for tool in report.tools)


def open_servers(
    servers: Sequence[McpServer],
    taken: Collection[str] = (),
    cancel: CancelToken | None = None,
    *,
    start_s: float = START_S,
) -> McpTools:
    """Start the servers and name their tools, other than those `taken`. Raises UsageError, LoadCancelled."""
    if importlib.util.find_spec("mcp") is None:
        raise UsageError("MCP servers need the Python package mcp", INSTALL)
    host = McpHost(servers)
    try:
        found = host.start(start_s, cancel)
        notes: list[str] = []
        sent = {server.name: _usable(server, found[server.name], notes) for server in servers}
        names = [name for tools in sent.values() for name in tools]
        reports = []
        for server in servers:
            facts = found[server.name]
            tools = []
            for name, tool in sent[server.name].items():
                shown = name if names.count(name) == 1 and name not in taken else f"{server.name}__{name}"[:64]
                host.place(shown, server.name, tool["name"])
                tools.append(_tool(server, shown, tool))
            reports.append(_report(server, facts, tools))
            if "error" in facts:
                notes.append(f"MCP server {server.name} skipped: {visible(facts['error'])}")
    except BaseException:
        host.close()
        raise
    return McpTools(host, tuple(reports), tuple(notes))


def visible(value: Any) -> Any:
    """`value` with hidden and control characters in its texts as escapes, which the model and the user can see."""
    match value:
        case str():
            return value if value.isprintable() else "".join(map(_seen, value))
        case list():
            return [visible(one) for one in value]
        case dict():
            return {visible(key): visible(one) for key, one in value.items()}
    return value


def _seen(character: str) -> str:
    if character in _KEPT_HIDDEN or unicodedata.category(character) not in _HIDDEN:
        return character
    return json.dumps(character)[1:-1]


def _definition(server: McpServer) -> dict[str, Any]:
    """What the host has to know. Raises UsageError for a variable that is not set."""
    if server.url:
        return {"name": server.name, "url": server.url, "headers": server.sent_headers()}
    log = log_file(server.name)
    variables = {**environment(), **server.variables()}
    return {"name": server.name, "command": [server.command, *server.args], "variables": variables, "log": str(log)}


def log_file(name: str) -> Path:
    """What a server wrote to stderr since it was started last."""
    return paths.cache_folder() / "mcp" / f"{_NOT_IN_NAMES.sub('-', name)}.log"


def _usable(server: McpServer, facts: Mapping[str, Any], notes: list[str]) -> dict[str, dict[str, Any]]:
    """The tools to offer, by a name that a model can write; a note for each that cannot be used."""
    from hermes_cli.formats.json.check import checked

    found: dict[str, dict[str, Any]] = {}
    for tool in facts.get("tools", ()):
        if not server.offers(tool["name"]):
            continue
        name = _NOT_IN_NAMES.sub("_", tool["name"])[:64]
        name = name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"[:64]
        try:
            if name in found:
                raise UsageError(f"another tool is named {name} too", "")
            if tool["parameters"] is None:
                raise UsageError("its schema is too large", "")
            checked(tool["parameters"], "its schema")
            found[name] = tool
        except UsageError as problem:
            notes.append(f"MCP tool {visible(tool['name'])[:64]} of {server.name} skipped: {visible(problem.message)}")
    return found


def _tool(server: McpServer, shown: str, sent: Mapping[str, Any]) -> Tool:
    parameters = _harmless(sent["parameters"])
    # The user's consent is for this tool of this server, as it is described now.
    definition = [server.address, sent["name"], sent["description"], sent["parameters"]]
    return Tool(
        shown,
        _harmless(" ".join(sent["description"].split())[:_LONGEST_DESCRIPTION]) or shown,
        {"type": "object", "properties": {}, **parameters},
        matches(sent["name"], server.read_only),
        f"mcp {server.name}",
        hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest(),
    )


def _harmless(value: Any) -> Any:
    """Text of a server's definition that cannot close the list of tools in the prompt, nor hide in it."""
    match value:
        case str():
            return _TAG.sub(r"[\1\2]", visible(value))
        case list():
            return [_harmless(one) for one in value]
        case dict():
            return {_harmless(key): _harmless(one) for key, one in value.items()}
    return value


def _report(server: McpServer, facts: Mapping[str, Any], tools: Sequence[Tool]) -> ServerReport:
    if "error" in facts:
        return ServerReport(server, visible(facts["error"]))
    return ServerReport(
        server,
        "",
        visible(facts["title"]),
        visible(facts["version"]),
        facts["protocol"],
        facts["start_s"],
        facts["latency_s"],
        {tool["name"]: tool["annotations"] for tool in facts["tools"]},
        tuple(tools),
    )
