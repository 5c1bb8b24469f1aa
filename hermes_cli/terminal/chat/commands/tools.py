"""Commands about function calling and JSON mode."""

import json
from typing import TYPE_CHECKING

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import NOTHING, words
from hermes_cli.terminal.chat.commands.choose import choose
from hermes_cli.terminal.sanitize import one_line

if TYPE_CHECKING:
    from hermes_cli.tools.tool import Tool

_NONE = (NOTHING, "off")


def tools(chat: Chat, argument: str) -> None:
    """Show, choose or replace the tools the model can call.

    /tools alone lists them, and the built-in ones; a number adds or removes one. /tools calculate my_tools.py loads
    these instead of the current ones; /tools - or off removes all.
    """
    if argument:
        _load(chat, () if argument in _NONE else tuple(words(argument)))
    if not chat.use_present_tools():
        return
    if chat.interactive and not argument:
        _choose(chat)
        return
    if rows := _loaded(chat):
        console.table(rows, order=(0, 1), elastic=2)
    else:
        console.lines("no tools; load some with /tools calculate or /tools FILE.py")


def _load(chat: Chat, sources: tuple[str, ...]) -> None:
    """Use the tools of these files and built-in names, and no others."""
    layers = chat.layers.with_flag(tools=sources) if sources else chat.layers.without("tools")
    chat.choose(layers.without("tool_choice"), reload_tools=True)


def _choose(chat: Chat) -> None:
    """Let the user add or remove a tool."""
    from hermes_cli.tools.toolbox import built_in_names, load_toolbox

    loaded = _loaded(chat)
    names = {name for name, *_ in loaded}
    with load_toolbox([name for name in built_in_names() if name not in names]) as others:
        rows = [*loaded, *(_row(tool) for tool in others.tools.values())]
    place = choose(chat, rows, "tool", elastic=2, name=0, current=range(len(loaded)))
    if place is None:
        return
    name, now = rows[place][0], chat.layers.now.tools or ()
    rest = tuple(source for source in now if source.partition(":")[0] != name)
    if name not in names:
        _load(chat, (*now, name))
        console.notice(f"{name} added: the model may call it from the next message on")
    elif rest != now:
        _load(chat, rest)
        console.notice(f"{name} removed")
    else:
        raise UsageError(f"{name} is one of several tools of a file or a server", "/tools - removes all, /mcp a server")


def _loaded(chat: Chat) -> list[tuple[str, str, str]]:
    """Name, consent and description of the tools that the model may call."""
    now = chat.session.tools
    return [_row(tool) for tool in now.toolbox.tools.values()] if now else []


def _row(tool: "Tool") -> tuple[str, str, str]:
    consent = "runs without asking" if tool.read_only else "asks first"
    return tool.name, consent, one_line(tool.description.splitlines()[0])


def schema(chat: Chat, argument: str) -> None:
    """Show or set the JSON schema of answers.

    /schema name, age int, or /schema FILE. /schema - or off removes it.
    """
    from hermes_cli.store.schemas import load_schema

    session = chat.session
    if argument:
        layers = chat.layers
        without = argument in _NONE
        chat.choose(
            layers.without("schema") if without else layers.with_flag(schema=load_schema(argument.removeprefix("@")))
        )
    console.lines("no schema" if session.schema is None else json.dumps(session.schema, ensure_ascii=False, indent=2))
