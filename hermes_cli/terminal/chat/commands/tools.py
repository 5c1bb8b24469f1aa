"""Commands about function calling and JSON mode."""

import json

from hermes_cli.terminal import console
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import NOTHING, words
from hermes_cli.terminal.sanitize import one_line

_NONE = (NOTHING, "off")


def tools(chat: Chat, argument: str) -> None:
    """Show or replace the tools the model may call.

    /tools calculate my_tools.py loads these instead of the current ones; /tools - or off removes all.
    """
    session = chat.session
    if argument:
        layers = chat.layers
        named = layers.without("tools") if argument in _NONE else layers.with_flag(tools=tuple(words(argument)))
        chat.choose(named.without("tool_choice"), reload_tools=True)
    if not chat.use_present_tools():
        return
    if not session.tools or not session.tools.toolbox.tools:
        console.lines("no tools; load some with /tools calculate or /tools FILE.py")
        return
    rows = [
        (
            tool.name,
            "runs without asking" if tool.read_only else "asks first",
            one_line(tool.description.splitlines()[0]),
        )
        for tool in session.tools.toolbox.tools.values()
    ]
    console.table(rows, order=(0, 1), elastic=2)


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
