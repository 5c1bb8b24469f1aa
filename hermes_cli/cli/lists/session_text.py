"""A saved session as plain text."""

from hermes_cli.store.sessions.reader import SavedSession


def readable(saved: SavedSession, *, everything: bool) -> str:
    """The current branch as text, or all turns in the order they were written."""
    model = f" · {saved.model}" if saved.model else ""
    parts = [f"{saved.title}\n{saved.id} · {saved.created.astimezone():%Y-%m-%d %H:%M}{model}"]
    if saved.conversation.system_prompt:
        parts.append(_marked("system: ", saved.conversation.system_prompt))
    marks = {"user": "> ", "system": "system: ", "tool": "tool: ", "assistant": ""}
    current = {turn.id for turn in saved.conversation.turns}
    for turn in [record.turn for record in saved.turns.values()] if everything else saved.conversation.turns:
        parts += [] if turn.id in current else ["[undone or regenerated]"]
        parts += [_marked(marks[message.role], message.content) for message in turn.messages]
        if turn.answer.finish_reason == "cancelled":
            parts.append("[stopped]")
    if saved.unanswered is not None:
        parts += [_marked("> ", saved.unanswered), "[not answered]"]
    return "\n\n".join(parts) + "\n"


def _marked(mark: str, text: str) -> str:
    return "\n".join(f"{mark}{line}" for line in text.split("\n")) if mark == "> " else f"{mark}{text}"
