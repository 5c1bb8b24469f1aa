"""Prompts of MCP servers as presets: NAME:PROMPT, where NAME is a configured server."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_cli.chat.sampling import Sampling
from hermes_cli.store.presets.presets import Preset, find_preset

if TYPE_CHECKING:
    from hermes_cli.tools.mcp import McpTools

_COLON = ":"


def is_of_server(name: str) -> bool:
    """Whether this names a prompt of a server, rather than a preset file."""
    return _COLON in name


def chosen_preset(
    name: str, values: Mapping[str, str], servers: "McpTools | None" = None
) -> tuple[Preset, Mapping[str, str]]:
    """The preset and the values of its variables; a server fills in those of its prompts. Raises HermesError.

    The server is started for it, unless it is one of the running `servers`.
    """
    if not is_of_server(name):
        return find_preset(name), values
    from hermes_cli.store.settings.settings import load_settings
    from hermes_cli.tools.mcp_server import configured_server
    from hermes_cli.tools.mcp_single import filled_prompt, read_prompt

    server, _, prompt = name.partition(_COLON)
    if servers and (host := servers.host_of(server)):
        description, text = filled_prompt(host, server, prompt, values)
    else:
        description, text = read_prompt(configured_server(server, load_settings().mcp_servers), prompt, values)
    return Preset(name, description, text, Sampling(), None, {}, None, Path(), bundled=False), {}
