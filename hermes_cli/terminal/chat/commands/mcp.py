"""The command about MCP servers."""

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import words
from hermes_cli.terminal.sanitize import one_line


def mcp(chat: Chat, argument: str) -> None:
    """Show the MCP servers, or switch one on or off.

    /mcp NAME on starts a configured server; a command or a URL works too, in quotes. /mcp NAME off ends it.
    """
    active = list(chat.layers.now.mcp or ())
    configured = chat.layers.mcp_servers
    if argument:
        named, state = words(argument)[:-1], words(argument)[-1]
        if len(named) != 1 or state not in ("on", "off"):
            raise UsageError(f"/mcp {argument} is not understood", "type /mcp NAME on, or /mcp NAME off")
        active = [one for one in active if one != named[0]] + (named if state == "on" else [])
        # An empty list, unlike None, is saved with the session.
        layers = chat.layers.with_flag(mcp=tuple(active))
        chat.choose(layers.without("tool_choice"), reload_tools=True)
        if chat.use_present_tools():
            chat.print_tool_cost()
    names = list(dict.fromkeys((*configured, *active)))
    if not names:
        console.lines("no MCP servers; start one: /mcp 'COMMAND ARGUMENTS' on")
        return
    addresses = {name: server.shown_address for name, server in configured.items()}
    rows = [(one_line(name), "on" if name in active else "off", one_line(addresses.get(name, ""))) for name in names]
    console.table(rows, order=(0, 1), elastic=2)
