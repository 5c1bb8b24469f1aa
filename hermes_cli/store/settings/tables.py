"""The tables of config.toml that name things: endpoints, MCP servers, and aliases and defaults of models."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hermes_cli.errors import UsageError

if TYPE_CHECKING:
    from hermes_cli.store.settings.model_tables import Check


def take_tables(given: dict[str, Any], origin: str, check: "Check") -> tuple[dict[str, Any], list[UsageError]]:
    """Take the tables out of what the file holds: by their fields of Settings, and the problems of the others.

    `check` returns the valid value of a setting.
    """
    readers: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
        "endpoints": ("endpoints", _endpoints),
        "mcp": ("mcp_servers", _servers),
        "models": ("models", lambda value, origin: _models(value, origin, check)),
    }
    found: dict[str, Any] = {}
    problems: list[UsageError] = []
    for key, (field, read) in readers.items():
        if key in given:
            try:
                found[field] = read(given.pop(key), origin)
            except UsageError as problem:
                problems.append(problem)
    return found, problems


def _endpoints(value: Any, origin: str) -> Any:
    from hermes_cli.store.settings.endpoints import endpoints_in

    return endpoints_in(value, origin)


def _models(value: Any, origin: str, check: "Check") -> Any:
    from hermes_cli.store.settings.model_tables import tables_in

    return tables_in(value, origin, check)


def _servers(value: Any, origin: str) -> Any:
    from hermes_cli.store.settings.mcp_servers import servers_in

    return servers_in(value, origin)
