"""The tables of config.toml that name things: endpoints, MCP servers, and aliases and defaults of models."""

from typing import TYPE_CHECKING, Any

from hermes_cli.errors import UsageError
from hermes_cli.store.settings.endpoints import endpoints_in

if TYPE_CHECKING:
    from hermes_cli.store.settings.model_tables import Check


def take_tables(given: dict[str, Any], origin: str, check: "Check") -> tuple[dict[str, Any], list[UsageError]]:
    """Take the tables out of what the file holds: by their fields of Settings, and the problems of the others.

    `check` returns the valid value of a setting.
    """
    found: dict[str, Any] = {}
    problems: list[UsageError] = []
    for key in [key for key in ("endpoints", "mcp", "models") if key in given]:
        value = given.pop(key)
        try:
            match key:
                case "endpoints":
                    found["endpoints"] = endpoints_in(value, origin)
                case "mcp":
                    from hermes_cli.store.settings.mcp_servers import servers_in

                    found["mcp_servers"] = servers_in(value, origin)
                case "models":
                    from hermes_cli.store.settings.model_tables import tables_in

                    found["models"] = tables_in(value, origin, check)
        except UsageError as problem:
            problems.append(problem)
    return found, problems
