"""The text of a resource of an MCP server."""

from hermes_cli.errors import UsageError
from hermes_cli.terminal.attachments.attachment import Attachment
from hermes_cli.terminal.console import StatusLine

SCHEME = "mcp:"


def resource_at(source: str) -> Attachment:
    """The resource that `mcp:NAME/URI` names; its server is started for it. Raises UsageError, ToolFailed."""
    from hermes_cli.store.settings.settings import load_settings
    from hermes_cli.tools.mcp_server import configured_server
    from hermes_cli.tools.mcp_single import read_resource

    name, _, uri = source.removeprefix(SCHEME).partition("/")
    if not name or not uri:
        raise UsageError(f"{source} is not mcp:NAME/URI", "list the resources of a server: hermes mcp show NAME")
    server = configured_server(name, load_settings().mcp_servers)
    status = StatusLine()
    status.show(f"reading {source}")
    try:
        return Attachment(source, read_resource(server, uri))
    finally:
        status.erase()
