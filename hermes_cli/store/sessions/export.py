"""A session as text for people and other programs: the whole current branch."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from hermes_cli.chat.message import Message
from hermes_cli.errors import UsageError
from hermes_cli.store.sessions.fields import message_fields, settings_fields
from hermes_cli.store.sessions.reader import SavedSession

_WHO = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
_ENDED = {"cancelled": " (stopped)", "length": " (cut)"}
SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}


def as_markdown(session: SavedSession) -> str:
    """Markdown with a heading for each message; texts are unchanged."""
    parts = [f"# {_title(session)}", _about(session)]
    for message in _messages(session):
        thought = f"### Thinking\n\n{message.thinking}\n\n### Answer\n\n" if message.thinking else ""
        parts.append(f"## {_heading(message)}\n\n{thought}{message.content}")
    return "\n\n".join(parts)


def as_json(session: SavedSession) -> str:
    """One object with the settings and the turns."""
    turns = [
        {
            "id": record.turn.id,
            **{name: record.fields.get(name) for name in ("time", "model", "seed", "usage")},
            "standing": record.turn.state,
            "messages": [message_fields(message) for message in record.turn.messages],
        }
        for record in session.branch
    ]
    about = {"id": session.id, "title": session.title, "created": session.created.isoformat()}
    settings = settings_fields(session.settings, session.conversation.system_prompt)
    return json.dumps({**about, **settings, "turns": turns}, ensure_ascii=False, indent=2)


def as_sharegpt(session: SavedSession) -> str:
    """One line for fine-tuning, in ShareGPT form, which has thinking in the text of the answer."""
    said = [{"from": SHAREGPT_NAMES[message.role], "value": _with_thinking(message)} for message in _messages(session)]
    return json.dumps({"conversations": said}, ensure_ascii=False)


def as_openai(session: SavedSession) -> str:
    """One line for fine-tuning, as OpenAI chat messages."""
    said = [
        {"role": message.role, "content": message.content}
        | ({"reasoning_content": message.thinking} if message.thinking else {})
        for message in _messages(session)
    ]
    return json.dumps({"messages": said}, ensure_ascii=False)


def as_html(session: SavedSession) -> str:
    """One self-contained HTML page."""
    from hermes_cli.store.sessions.page import page

    messages: list[tuple[str, str, str]] = []
    for message in _messages(session):
        if message.thinking:
            messages.append(("thinking", "Thinking", message.thinking))
        messages.append((message.role, _heading(message), message.content))
    return page(_title(session), _about(session), messages)


FORMATS: Mapping[str, Callable[[SavedSession], str]] = {
    "md": as_markdown,
    "json": as_json,
    "html": as_html,
    "sharegpt": as_sharegpt,
    "openai": as_openai,
}
FOR_TRAINING = ("sharegpt", "openai")
_BY_NAME = {".md": "md", ".txt": "md", ".html": "html", ".json": "json"}


def form_by_name(file: Path) -> str:
    """The format for the suffix of a file. Raises UsageError."""
    form = _BY_NAME.get(file.suffix.lower())
    if form is None:
        raise UsageError("the file name must end in .md, .txt, .html or .json", "for example: chat.md")
    return form


def _with_thinking(message: Message) -> str:
    """The text of a message as a model that thinks writes it."""
    return f"<think>\n{message.thinking}\n</think>\n\n{message.content}" if message.thinking else message.content


def _heading(message: Message) -> str:
    return _WHO[message.role] + _ENDED.get(message.finish_reason or "", "")


def _messages(session: SavedSession) -> tuple[Message, ...]:
    turns = session.conversation.turns
    return (*session.conversation.opening, *(message for turn in turns for message in turn.messages))


def _title(session: SavedSession) -> str:
    return " ".join(session.title.split()) or session.id


def _about(session: SavedSession) -> str:
    model = f" · {session.model}" if session.model else ""
    return f"{session.created.astimezone():%Y-%m-%d %H:%M}{model} · {session.id}"
