"""MCP servers by name: the `[mcp.servers.NAME]` tables of config.toml, and the JSON files of other clients."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hermes_cli import files
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.tools.mcp_server import NAME, McpServer

_FIX = "fix it: hermes config edit"
_KEYS = tuple(each.name for each in fields(McpServer) if each.name != "name")
_LISTS = ("args", "env", "allow", "deny", "read_only")
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}")


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


@dataclass(frozen=True, slots=True)
class Imported:
    """A server of another client's file as a table of ours, and what the user has to do for it."""

    name: str
    table: Mapping[str, Any]
    notes: tuple[str, ...]


def read_other(path: Path) -> list[Imported]:
    """The servers of a JSON file with `mcpServers` (or `servers`), as Claude, Cursor and VS Code write it.

    Values of variables and headers are secrets: only their names are taken over. Raises UsageError.
    """
    try:
        content = json.loads(files.read_text(path, 1 << 20))
    except (OSError, ValueError, RecursionError, files.Unreadable) as error:
        why = getattr(error, "strerror", None) or "it is not JSON"
        raise UsageError(f"cannot read {path}: {why}", files.check_hint(path)) from error
    found = content.get("mcpServers", content.get("servers")) if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found:
        raise UsageError(f'{path} has no "mcpServers"', "give a file such as claude_desktop_config.json or mcp.json")
    return [_imported(name, entry) for name, entry in found.items()]


def _imported(name: str, entry: Any) -> Imported:
    entry = entry if isinstance(entry, dict) else {}
    notes, table = [], {}
    shown = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:40] or "server"
    if isinstance(entry.get("command"), str):
        table = {"command": entry["command"], "args": [str(one) for one in entry.get("args") or ()]}
    elif isinstance(entry.get("url"), str):
        table = {"url": entry["url"]}
    variables = [str(one) for one in entry.get("env") or ()]
    if variables:
        table["env"] = variables
        notes.append(f"{shown} needs {', '.join(variables)} in the environment: export {variables[0]}=...")
    headers = {}
    for header, value in (entry.get("headers") or {}).items():
        named = _VARIABLE.search(str(value))
        variable = named[1] if named else re.sub(r"\W", "_", f"{shown}_{header}").upper()
        headers[header] = _VARIABLE.sub(r"${\1}", value) if named else f"${{{variable}}}"
        if not named:
            notes.append(f"{shown} needs the value of its header {header}: export {variable}=...")
    if headers:
        table["headers"] = headers
    if entry.get("type") == "sse":
        notes.append(f"{shown} is an SSE server; only stdio and streamable HTTP are supported")
    return Imported(shown, table, tuple(notes))
