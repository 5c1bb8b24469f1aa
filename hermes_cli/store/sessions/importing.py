"""Files with conversations of other programs, made into sessions."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from hermes_cli import paths
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.errors import OutputError, UsageError
from hermes_cli.files import check_hint, encoding_of
from hermes_cli.store.sessions.dialects import Fault, Imported, imported
from hermes_cli.store.sessions.files import remove_session
from hermes_cli.store.sessions.writer import Transcript

_STDIN = Path("-")
_LARGEST_BYTES = 512 << 20
_SQLITE = b"SQLite format 3\0"
_OWN = b'{"hermes_session"'
_HINT = (
    "known are ShareGPT, LLaMA-Factory, OpenAI messages, and chats of Ollama, LM Studio, Open WebUI, ChatGPT and Claude"
)
# An instruction of an Ollama Modelfile; its text is in three quotes, in one, or the rest of the line.
_INSTRUCTION = re.compile(
    r"^(?P<word>SYSTEM|MESSAGE)[ \t]+(?P<role>system|user|assistant)?[ \t]*"
    r'(?:"""(?P<long>.*?)"""|"(?P<short>(?:[^"\\\n]|\\.)*)"[ \t]*$|(?P<bare>[^\n]*)$)',
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)


def import_sessions(path: Path) -> tuple[list[Path], Counter[str]]:
    """A new session for each conversation in a file, and what was left out; none at all if one cannot be read or saved.

    `-` is stdin. Raises UsageError for a file of another kind, OutputError where sessions cannot be saved.
    """
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    try:
        for found in conversations_in(path):
            left_out += found.left_out
            if not found.conversation.turns:
                left_out["empty conversations"] += 1
                continue
            with closing(_saved(found)) as transcript:
                files.append(transcript.path)
        if not files:
            raise UsageError(f"there is no conversation in {path}", _HINT)
    except BaseException:
        for file in files:
            with suppress(OutputError):
                remove_session(file)
        raise
    return files, left_out


def conversations_in(path: Path) -> list[Imported]:
    """The conversations in JSON lines, a JSON list or object, a Modelfile, or Ollama's database. Raises UsageError."""
    data, shown = _content(path)
    if data.startswith(_SQLITE):
        return _in_database(path)
    if data.startswith(_OWN):
        raise UsageError(
            f"{shown} is a session of hermes already",
            f"continue it with --session FILE, or copy it into {paths.sessions_folder()}",
        )
    try:
        text = data.decode(encoding_of(data))
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown} is not UTF-8 text", _HINT) from error
    found = []
    for place, value in _values(shown, text):
        try:
            found.append(imported(value))
        except Fault as fault:
            raise UsageError(f"{place} of {shown} {fault}", _HINT) from fault
    return found


def _saved(found: Imported) -> Transcript:
    transcript = Transcript.new(SessionSettings(), found.conversation.system_prompt, found.conversation.turns)
    if found.title.strip():
        transcript.set_title(found.title)
    transcript.save()
    return transcript


def _content(path: Path) -> tuple[bytes, str]:
    """The bytes, and the name for messages."""
    from_stdin = path == _STDIN
    shown = "stdin" if from_stdin else str(path)
    try:
        with open(0, "rb", closefd=False) if from_stdin else path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        hint = "pipe JSON lines into the command" if from_stdin else check_hint(path)
        raise UsageError(f"cannot read {shown}: {why}", hint) from error
    if len(data) > _LARGEST_BYTES:
        raise UsageError(f"{shown} is larger than {_LARGEST_BYTES >> 20} MiB", "import it in parts: split -l 1000")
    return data, shown


def _values(shown: str, text: str) -> Iterator[tuple[str, Any]]:
    """The JSON values of a file and the place of each: one list, one object, or one on each line."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        if instructions := list(_INSTRUCTION.finditer(text)):
            yield "the Modelfile", [_instructed(found) for found in instructions]
            return
        # Lines end with a line feed only: JSON may hold other line separators in a text.
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"line {number}", _parsed(shown, number, line)
        return
    if isinstance(whole, list) and whole and all(isinstance(each, dict) and "role" in each for each in whole):
        yield "the list", whole
        return
    for number, value in enumerate(whole if isinstance(whole, list) else [whole], 1):
        yield f"conversation {number}", value


def _parsed(shown: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"line {number} of {shown} is not JSON", _HINT) from error


def _instructed(found: re.Match[str]) -> dict[str, str]:
    """A message of a Modelfile, as `/save` of Ollama writes them."""
    role = found["role"] if found["word"].upper() == "MESSAGE" else "system"
    short = found["short"] and found["short"].replace('\\"', '"')
    return {"role": (role or "").lower(), "content": found["long"] or short or found["bare"] or ""}


def _in_database(path: Path) -> list[Imported]:
    """The chats in the database of Ollama's desktop program. Raises UsageError."""
    import sqlite3

    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [
                imported({"title": chat["title"], "messages": [_row(row) for row in _rows(database, chat["id"])]})
                for chat in database.execute("SELECT id, title FROM chats ORDER BY created_at")
            ]
    except (sqlite3.Error, Fault) as error:
        raise UsageError(f"{path} is not a database of Ollama's chats: {error}", _HINT) from error


def _rows(database: Any, chat: str) -> Any:
    return database.execute("SELECT * FROM messages WHERE chat_id = ? ORDER BY id", (chat,))


def _row(row: Any) -> dict[str, Any]:
    fields = dict(row)
    return {name: fields.get(name) for name in ("role", "content", "thinking")}
