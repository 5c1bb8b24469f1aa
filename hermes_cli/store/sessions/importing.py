"""Conversations of other programs made sessions: JSON lines in the form of ShareGPT or of OpenAI's messages."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.message import Message, Role
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.errors import OutputError, UsageError
from hermes_cli.files import check_hint
from hermes_cli.store.sessions.files import remove_session
from hermes_cli.store.sessions.writer import Transcript

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "bot"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_response"), "tool"),
}


_STDIN = Path("-")
_LARGEST_BYTES = 512 << 20


class _Fault(ValueError):
    """What is wrong with a conversation: half a sentence."""


def import_sessions(path: Path) -> list[Path]:
    """A new session for each conversation in a file; none at all if one cannot be read or saved.

    Raises UsageError for what is no such file, OutputError where sessions cannot be saved.
    """
    files: list[Path] = []
    try:
        for conversation in conversations_in(path):
            transcript = Transcript.new(SessionSettings(), conversation.system_prompt, conversation.turns)
            transcript.save()
            files.append(transcript.path)
            transcript.close()
    except BaseException:
        for file in files:
            with suppress(OutputError):
                remove_session(file)
        raise
    return files


def conversations_in(path: Path) -> list[Conversation]:
    """The conversations in a file of JSON lines, or in a JSON list of them; `-` is stdin. Raises UsageError."""
    from_stdin = path == _STDIN
    path = Path("stdin") if from_stdin else path  # as messages name it
    try:
        with open(0, "rb", closefd=False) if from_stdin else path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            raise UsageError(f"{path} is larger than {_LARGEST_BYTES >> 20} MiB", "import it in parts: split -l 1000")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", _hint()) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        hint = "pipe JSON lines into the command" if from_stdin else check_hint(path)
        raise UsageError(f"cannot read {path}: {why}", hint) from error
    found = []
    for place, values in _values(path, text):
        try:
            found.append(_conversation(values))
        except _Fault as fault:
            raise UsageError(f"{place} of {path} {fault}", _hint()) from fault
    if not found:
        raise UsageError(f"there is no conversation in {path}", _hint())
    return found


def _values(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """The JSON values of a file and where each stands: one list, one object, or one on each line."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        # Lines end with a line feed only: JSON may hold the other ends of lines in a text.
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"line {number}", _parsed(path, number, line)
        return
    for number, value in enumerate(whole if isinstance(whole, list) else [whole], 1):
        yield f"conversation {number}", value


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"line {number} of {path} is not JSON", _hint()) from error


@dataclass(frozen=True, slots=True)
class _Form:
    """How one family of files calls what a conversation is made of."""

    messages: str
    role: str
    content: str


_FORMS = (_Form("conversations", "from", "value"), _Form("messages", "role", "content"))


def _conversation(value: Any) -> Conversation:
    for form in _FORMS:
        if isinstance(value, dict) and isinstance(value.get(form.messages), list):
            messages = [_message(entry, form) for entry in value[form.messages]]
            if all(message.role == "system" for message in messages):
                raise _Fault("says nothing")
            prompt = messages.pop(0).content if messages[0].role == "system" else None
            return Conversation(prompt, tuple(_turns(messages)))
    raise _Fault("has neither `conversations` nor `messages`")


def _message(entry: Any, form: _Form) -> Message:
    if not isinstance(entry, dict):
        raise _Fault("has a message that is none")
    if entry.get("tool_calls") or entry.get("function_call"):
        raise _Fault("has tool calls as a field, which a session does not hold")
    # Hands have put both spellings into one file.
    given = entry.get(form.role, entry.get("role", entry.get("from")))
    role = _ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        raise _Fault(f"has a message from {given!r}")
    return Message(role, _content(entry.get(form.content)))


def _content(value: Any) -> str:
    """A text, or the parts of one."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "".join(part["text"] for part in value)
    raise _Fault("has a message without text")


def _turns(messages: list[Message]) -> Iterator[Turn]:
    """A turn begins with what the user says after something else was said."""
    begins = [
        place
        for place, message in enumerate(messages)
        if place == 0 or (message.role == "user" and messages[place - 1].role != "user")
    ]
    for number, (start, end) in enumerate(zip(begins, [*begins[1:], len(messages)], strict=True), 1):
        yield Turn(number, tuple(messages[start:end]))


def _hint() -> str:
    return 'each line is {"conversations": [{"from", "value"}, ...]} or {"messages": [{"role", "content"}, ...]}'
