"""MCP servers in the JSON files of other clients, such as Claude, Cursor and VS Code, as tables of config.toml."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_cli import files
from hermes_cli.errors import UsageError
from hermes_cli.store.settings.mcp_servers import servers_in
from hermes_cli.tools.mcp_server import looks_secret

_LARGEST_BYTES = 1 << 20
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)\}")
_SUFFIX = 3  # characters that a number after a name may take


@dataclass(frozen=True, slots=True)
class Imported:
    """A server of another client as a table of ours, and what the user has to do for it; `problem` if it is skipped."""

    name: str
    table: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    problem: str = ""


class _Unusable(Exception):
    """Why an entry cannot be imported."""


def read_other(path: Path, known: Collection[str]) -> list[Imported]:
    """The servers of a JSON file with `mcpServers` (or `servers`), except those with a `known` name.

    Values of variables and headers are secrets: only their names are taken over. Raises UsageError.
    """
    try:
        content = json.loads(files.read_text(path, _LARGEST_BYTES))
    except files.Unreadable as error:
        raise UsageError(f"cannot read {path}: it {error}", files.check_hint(path)) from error
    except (OSError, ValueError, RecursionError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "it is not JSON"
        raise UsageError(f"cannot read {path}: {why}", files.check_hint(path)) from error
    found = content.get("mcpServers", content.get("servers")) if isinstance(content, dict) else None
    if not isinstance(found, dict) or not found:
        raise UsageError(f'{path} has no "mcpServers"', "give a file such as claude_desktop_config.json or mcp.json")
    taken: set[str] = set()
    return [_imported(name, entry, known, taken, path) for name, entry in found.items()]


def _imported(name: str, entry: Any, known: Collection[str], taken: set[str], path: Path) -> Imported:
    shown = _free_name(re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_") or "server", taken)
    taken.add(shown)
    if shown in known:
        return Imported(shown, {}, problem="a server of this name is configured already")
    try:
        table, notes = _table(shown, entry)
        servers_in({"servers": {shown: table}}, str(path))
    except _Unusable as problem:
        return Imported(shown, {}, problem=str(problem))
    except UsageError as problem:
        return Imported(shown, {}, problem=problem.message)
    return Imported(shown, table, tuple(notes))


def _free_name(name: str, taken: Collection[str]) -> str:
    """`name`, with a number where another entry of the file has it."""
    name, number, free = name[: 40 - _SUFFIX], 2, name[: 40 - _SUFFIX]
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _table(name: str, entry: Any) -> tuple[dict[str, Any], list[str]]:
    """The table of an entry, and notes on it. Raises _Unusable."""
    if not isinstance(entry, dict):
        raise _Unusable("it is not an object")
    if entry.get("disabled") is True:
        raise _Unusable("it is disabled in the file")
    if entry.get("type") == "sse":
        raise _Unusable("it is an SSE server; only stdio and streamable HTTP are supported")
    table: dict[str, Any] = {}
    if "command" in entry:
        table["command"] = _value(entry, "command", str)
        if arguments := _texts(_value(entry, "args", list)):
            table["args"] = arguments
    elif "url" in entry:
        table["url"] = _value(entry, "url", str)
    notes = []
    if variables := list(_value(entry, "env", dict)):
        table["env"] = variables
        notes.append(f"{name} needs {', '.join(variables)} in the environment: export {variables[0]}=...")
    headers = dict(_headers(name, _value(entry, "headers", dict), notes))
    if headers:
        table["headers"] = headers
    if any(map(looks_secret, (*table.get("args", ()), table.get("url", "")))):
        notes.append(f"{name} may have a secret in its arguments or address, which is in config.toml now")
    return table, notes


def _headers(name: str, headers: Mapping[str, Any], notes: list[str]) -> Iterator[tuple[str, str]]:
    """The headers with variables for their values."""
    for header, value in headers.items():
        text = str(value)
        if _VARIABLE.search(text):
            yield header, _VARIABLE.sub(r"${\1}", text)
            continue
        variable = re.sub(r"\W", "_", f"{name}_{header}").upper()
        notes.append(f"{name} needs the value of its header {header}: export {variable}=...")
        yield header, f"${{{variable}}}"


def _value(entry: Mapping[str, Any], key: str, kind: type) -> Any:
    """The value of a key, empty where it is missing. Raises _Unusable for another kind."""
    value = entry.get(key)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise _Unusable(f'"{key}" has the wrong type')
    return value


def _texts(values: list[Any]) -> list[str]:
    if not all(isinstance(one, str) for one in values):
        raise _Unusable('"args" are not all texts')
    return values
