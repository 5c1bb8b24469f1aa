"""A saved session as plain text."""

import json
from collections.abc import Iterator, Sequence

from hermes_cli.chat.conversation import Turn
from hermes_cli.chat.message import Message
from hermes_cli.chat.tool_call import ToolCall, ToolResult
from hermes_cli.formats.function_calling import responses
from hermes_cli.formats.tool_call_parser import ToolCallParser
from hermes_cli.session.shown_text import shown_answers
from hermes_cli.store.sessions.reader import SavedSession
from hermes_cli.terminal.answer.turn_view import tool_line
from hermes_cli.terminal.sanitize import one_line


def readable(saved: SavedSession, *, everything: bool) -> str:
    """The current branch as text, or all turns in the order they were written."""
    model = f" · {saved.model}" if saved.model else ""
    parts = [f"{saved.title}\n{saved.id} · {saved.created.astimezone():%Y-%m-%d %H:%M}{model}"]
    if saved.conversation.system_prompt:
        parts.append(_marked("system: ", saved.conversation.system_prompt))
    current = {turn.id for turn in saved.conversation.turns}
    turns = [record.turn for record in saved.turns.values()] if everything else saved.conversation.turns
    may_call = any(message.role == "tool" for turn in turns for message in turn.messages)
    for turn in turns:
        parts += [] if turn.id in current else ["[undone or regenerated]"]
        parts += _messages(turn, may_call)
        if turn.answer.finish_reason == "cancelled":
            parts.append("[stopped]")
    if saved.unanswered is not None:
        parts += [_marked("> ", saved.unanswered), "[not answered]"]
    return "\n\n".join(parts) + "\n"


def _messages(turn: Turn, may_call: bool) -> Iterator[str]:
    """The messages of a turn as a chat shows them: each tool call is a line with its result."""
    marks = {"user": "> ", "system": "system: ", "tool": "tool: "}
    calls: list[ToolCall] = []
    for message in turn.messages:
        if message.role == "assistant":
            if text := shown_answers([message], may_call):
                yield text
            calls = [found for found in ToolCallParser().feed(message.content) if isinstance(found, ToolCall)]
        elif message.role == "tool" and (results := _results(message, calls)):
            yield "\n".join(one_line(tool_line(result)) for result in results)
        else:
            yield _marked(marks[message.role], message.content)


def _results(message: Message, calls: Sequence[ToolCall]) -> Sequence[ToolResult]:
    """The results that a message reports; an imported one has only their text, in the order of the calls."""
    if message.tool_results:
        return message.tool_results
    try:
        contents = [json.loads(text)["content"] for text in responses(message.content)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    if len(contents) != len(calls):
        return ()
    return [ToolResult(call, True, content) for call, content in zip(calls, contents, strict=True)]


def _marked(mark: str, text: str) -> str:
    return "\n".join(f"{mark}{line}" for line in text.split("\n")) if mark == "> " else f"{mark}{text}"
