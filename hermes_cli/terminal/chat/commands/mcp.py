"""The command about MCP servers."""

from collections.abc import Sequence

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import words
from hermes_cli.terminal.sanitize import one_line


def mcp(chat: Chat, argument: str) -> None:
    """Show the MCP servers, or start or stop one.

    /mcp NAME on starts a configured server, again if it runs; a command or a URL works too, in quotes. /mcp NAME
    off ends it. Other servers are left alone.
    """
    active = list(chat.layers.now.mcp or ())
    configured = chat.layers.mcp_servers
    if argument:
        named, state = words(argument)[:-1], words(argument)[-1]
        if len(named) != 1 or state not in ("on", "off"):
            raise UsageError(f"/mcp {argument} is not understood", "type /mcp NAME on, or /mcp NAME off")
        others = [one for one in active if one != named[0]]
        if named[0] in active:  # switched on again, it starts again
            _use(chat, others)
        active = others + (named if state == "on" else [])
        if _use(chat, active):
            chat.print_tool_cost()
    names = list(dict.fromkeys((*configured, *active)))
    if not names:
        console.lines("no MCP servers; start one: /mcp 'COMMAND ARGUMENTS' on")
        return
    addresses = {name: server.shown_address for name, server in configured.items()}
    rows = [(one_line(name), "on" if name in active else "off", one_line(addresses.get(name, ""))) for name in names]
    console.table(rows, order=(0, 1), elastic=2)


def _use(chat: Chat, active: Sequence[str]) -> bool:
    """Use these MCP servers and no others; False if their start was stopped."""
    # An empty list, unlike None, is saved with the session.
    chat.choose(chat.layers.with_flag(mcp=tuple(active)).without("tool_choice"))
    return chat.use_present_tools()
