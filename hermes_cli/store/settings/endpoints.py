"""Named endpoints: the `[endpoints.NAME]` tables of config.toml."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.values import dataclass

_FIX = "fix it: hermes config edit"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server by name. Its key is in the environment variable `api_key_env`, or in the private file `api_key_file`."""

    url: str
    model: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    mode: str | None = None


def endpoints_in(tables: Any, origin: str) -> dict[str, Endpoint]:
    """The endpoints in the value of `endpoints`. Raises UsageError, which names `origin`."""
    if not isinstance(tables, Mapping):
        raise UsageError(f"endpoints is not a table (in {origin})", f"write [endpoints.NAME]; {_FIX}")
    return {str(name): _endpoint(str(name), table, origin) for name, table in tables.items()}


def _endpoint(name: str, table: Any, origin: str) -> Endpoint:
    if not isinstance(table, Mapping) or "url" not in table:
        raise UsageError(f"the endpoint {name} has no url (in {origin})", _FIX)
    known = [each.name for each in fields(Endpoint)]
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"endpoints.{name} has no key {key} (in {origin})", did_you_mean(key, known, _FIX))
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"endpoints.{name}.{key} must be text (in {origin})", _FIX)
    if table.get("mode", "raw") not in ("raw", "chat"):
        raise UsageError(f"endpoints.{name}.mode is raw or chat (in {origin})", _FIX)
    return Endpoint(**table)
