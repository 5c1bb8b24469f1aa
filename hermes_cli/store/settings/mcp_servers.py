"""MCP servers by name: the `[mcp.servers.NAME]` tables of config.toml."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.tools.mcp_server import NAME, McpServer

_FIX = "fix it: hermes config edit"
_KEYS = tuple(each.name for each in fields(McpServer) if each.name != "name")
_LISTS = ("args", "env", "allow", "deny", "read_only")


def servers_in(table: Any, origin: str) -> dict[str, McpServer]:
    """The servers in the value of `mcp`. Raises UsageError, which names `origin`."""
    servers = table.get("servers", {}) if isinstance(table, Mapping) else None
    if not isinstance(servers, Mapping) or set(table) - {"servers"}:
        raise UsageError(f"mcp has a key other than servers (in {origin})", f"write [mcp.servers.NAME]; {_FIX}")
    return {str(name): _server(str(name), one, origin) for name, one in servers.items()}


def _server(name: str, table: Any, origin: str) -> McpServer:
    where = f"mcp.servers.{name}"
    if not NAME.fullmatch(name) or not isinstance(table, Mapping):
        raise UsageError(f"{where} is not a table named by letters, digits, _ and - (in {origin})", _FIX)
    values = dict(table)
    for key, value in table.items():
        if key not in _KEYS:
            raise UsageError(f"{where} has no key {key} (in {origin})", did_you_mean(key, _KEYS, _FIX))
        if key in _LISTS:
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise UsageError(f"{where}.{key} must be a list of texts (in {origin})", _FIX)
            values[key] = tuple(value)
        elif key == "headers":
            if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
                raise UsageError(f"{where}.headers must be a table of texts (in {origin})", _FIX)
        elif key == "timeout":
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:
                raise UsageError(f"{where}.timeout must be seconds, up to 86400 (in {origin})", _FIX)
        elif not isinstance(value, str) or not value.strip():
            raise UsageError(f"{where}.{key} must be text (in {origin})", _FIX)
    server = McpServer(name, **values)
    try:
        server.check()
    except UsageError as problem:
        problem.message += f" (in {origin})"
        raise
    return server
