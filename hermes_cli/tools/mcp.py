"""The tools of MCP servers, with safe definitions and unique names. Everything a server sends is untrusted.

The servers' clients are in a child process, which `mcp_host` starts.
"""

import hashlib
import importlib.util
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import UsageError, shortened
from hermes_cli.tools.mcp_host import McpHost
from hermes_cli.tools.mcp_server import McpServer, matches
from hermes_cli.tools.mcp_text import harmless, visible
from hermes_cli.tools.tool import Tool

_LONGEST_DESCRIPTION = 4000
_MOST_NAMED = 5
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_INSTALL = "install it: pip install 'hermes-cli[mcp]'"


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
    annotations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by tool; nothing relies on them
    tools: tuple[Tool, ...] = ()


@dataclass(frozen=True, slots=True)
class McpTools:
    """The tools of all servers that started, their host to close, and a note for each that did not."""

    host: McpHost
    reports: tuple[ServerReport, ...]
    notes: tuple[str, ...]
    listed: Mapping[str, Mapping[str, Any]]  # by server: what it sent when it started, or listed last

    @property
    def tools(self) -> Iterator[tuple[Tool, McpHost]]:
        """Each tool and what runs it."""
        return ((tool, self.host) for report in self.reports for tool in report.tools)

    def host_of(self, name: str) -> McpHost | None:
        """What asks the server of that name, if it runs."""
        runs = any(report.server.name == name and not report.problem for report in self.reports)
        return self.host if runs and not self.host.ended else None

    def refreshed(self, taken: Collection[str] = ()) -> "McpTools | None":
        """The tools as the running servers define them now, with notes on the changes; None if nothing changed."""
        changed = self.host.changed()
        if not changed:
            return None
        listed = {name: {**facts, **changed.get(name, {})} for name, facts in self.listed.items()}
        now = _named(self.host, [report.server for report in self.reports], listed, taken)
        differences = [_difference(name, self.listed[name], listed[name]) for name in changed]
        return replace(now, notes=(*differences, *self._news(now)))

    def changed_to(
        self, servers: Sequence[McpServer], taken: Collection[str] = (), cancel: CancelToken | None = None
    ) -> "McpTools":
        """The tools of these servers: those that run stay, others are started or ended; only new notes are left.

        Raises UsageError, LoadCancelled.
        """
        if self.host.ended:
            return open_servers(servers, taken, cancel)
        same = [report.server.name for report in self.reports if report.server in servers]
        self.host.keep(same)
        started = self.host.start([server for server in servers if server.name not in same], cancel=cancel)
        now = _named(self.host, servers, {name: self.listed[name] for name in same} | started, taken)
        return replace(now, notes=tuple(self._news(now)))

    def _news(self, now: "McpTools") -> list[str]:
        """The notes that were not printed before."""
        return [note for note in now.notes if note not in self.notes]


def open_servers(
    servers: Sequence[McpServer],
    taken: Collection[str] = (),
    cancel: CancelToken | None = None,
    *,
    start_s: float | None = None,
) -> McpTools:
    """Start the servers and name their tools, other than those `taken`. Raises UsageError, LoadCancelled.

    `start_s` is the time that each may take; by default that of the server.
    """
    check_installed()
    host = McpHost()
    try:
        return _named(host, servers, host.start(servers, start_s, cancel), taken)
    except BaseException:
        host.close()
        raise


def check_installed() -> None:
    """Raise UsageError where the extra for MCP is not installed."""
    if importlib.util.find_spec("mcp") is None:
        raise UsageError("MCP servers need the Python package mcp", _INSTALL)


def _named(
    host: McpHost, servers: Sequence[McpServer], listed: Mapping[str, Mapping[str, Any]], taken: Collection[str]
) -> McpTools:
    """The tools that the servers listed, each with a name of its own."""
    notes: list[str] = []
    sent = {server.name: _usable(server, listed[server.name], notes) for server in servers}
    names = [name for tools in sent.values() for name in tools]
    places: dict[str, tuple[str, str]] = {}
    reports = []
    for server in servers:
        facts, tools, claims = listed[server.name], [], {}
        for name, tool in sent[server.name].items():
            shown = name if names.count(name) == 1 and name not in taken else f"{server.name}__{name}"[:64]
            if shown in places or shown in taken:
                notes.append(f"MCP tool {name} of {server.name} skipped: another tool is named {shown}")
                continue
            places[shown] = server.name, tool["name"]
            tools.append(_tool(server, shown, tool))
            claims[shown] = tool["annotations"]
        reports.append(_report(server, facts, tools, claims))
        if "error" in facts:
            notes.append(f"MCP server {server.name} skipped: {visible(facts['error'])}")
    host.places = places
    return McpTools(host, tuple(reports), tuple(notes), listed)


def _difference(server: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """A note on how a server's tools changed."""
    old, new = ({tool["name"]: tool for tool in facts.get("tools", ())} for facts in (before, now))
    changes = {
        "new": [name for name in new if name not in old],
        "changed": [name for name in new if name in old and new[name] != old[name]],
        "removed": [name for name in old if name not in new],
    }
    named = "; ".join(f"{kind}: {', '.join(visible(names)[:_MOST_NAMED])}" for kind, names in changes.items() if names)
    return f"the MCP server {server} changed its tools; {named}"


def _usable(server: McpServer, facts: Mapping[str, Any], notes: list[str]) -> dict[str, dict[str, Any]]:
    """The tools that the model may call, by a name that it can write; a note for each that cannot be used."""
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
    parameters = harmless(sent["parameters"])
    # The user's consent is for this tool of this server, as it is described now.
    definition = [server.address, sent["name"], sent["description"], sent["parameters"]]
    return Tool(
        shown,
        harmless(shortened(" ".join(sent["description"].split()), _LONGEST_DESCRIPTION)) or shown,
        {"type": "object", "properties": {}, **parameters},
        matches(sent["name"], server.read_only),
        f"mcp {server.name}",
        hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest(),
    )


def _report(
    server: McpServer, facts: Mapping[str, Any], tools: Sequence[Tool], claims: Mapping[str, Mapping[str, Any]]
) -> ServerReport:
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
        visible(claims),
        tuple(tools),
    )
