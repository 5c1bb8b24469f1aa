"""The text of a resource of an MCP server."""

from typing import TYPE_CHECKING

from hermes_cli.errors import UsageError
from hermes_cli.terminal.attachments.attachment import Attachment
from hermes_cli.terminal.console import StatusLine

if TYPE_CHECKING:
    from hermes_cli.tools.mcp import McpTools

SCHEME = "mcp:"


def resource_at(source: str, servers: "McpTools | None" = None) -> Attachment:
    """The resource that `mcp:NAME/URI` names; its server is started for it, unless it is one of the running `servers`.

    Raises UsageError, ToolFailed.
    """
    from hermes_cli.store.settings.settings import load_settings
    from hermes_cli.tools.mcp_server import configured_server
    from hermes_cli.tools.mcp_single import read_resource, resource_text

    name, _, uri = source.removeprefix(SCHEME).partition("/")
    if not name or not uri:
        raise UsageError(f"{source} is not mcp:NAME/URI", "list the resources of a server: hermes mcp show NAME")
    host = servers.host_of(name) if servers else None
    status = StatusLine()
    status.show(f"reading {source}")
    try:
        if host:
            return Attachment(source, resource_text(host, name, uri))
        server = configured_server(name, load_settings().mcp_servers)
        return Attachment(source, read_resource(server, uri))
    finally:
        status.erase()
