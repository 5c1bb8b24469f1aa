"""One event of a streamed answer, in any of the shapes that servers send, as one plain value."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from hermes_cli.chat.events import Usage
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class CallPart:
    """A piece of a tool call: calls with the same `index` belong together and their `arguments` are concatenated."""

    index: int
    id: str
    name: str
    arguments: str


class Chunk(NamedTuple):
    """What one event adds. `prompt_tokens` are (processed, total) of a prompt in progress.

    A tuple, because one is made for every token, which takes a third of the time of a frozen dataclass.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[CallPart, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    prompt_tokens: tuple[int, int] | None = None


def read_chunk(value: Any) -> Chunk:
    """The chunk in an event of a chat or a raw completion, streamed or not; what is not understood is skipped."""
    if not isinstance(value, dict):
        return Chunk()
    usage, progress = _usage(value.get("usage")), _progress(value.get("prompt_progress"))
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return Chunk(usage=usage, prompt_tokens=progress)
    part = choice.get("delta") or choice.get("message") or {}
    if not isinstance(part, dict):
        part = {}
    text, content, reason = choice.get("text"), part.get("content"), choice.get("finish_reason")
    return Chunk(
        content if text is None and isinstance(content, str) else _text(text) + _text(content),
        _text(part.get("reasoning_content")) or _text(part.get("reasoning")) if len(part) > 1 or not content else "",
        _calls(part) if len(part) > 1 or not content else (),
        reason if isinstance(reason, str) else None,
        usage or _usage(choice.get("usage")),
        progress,
    )


class CallCollector:
    """Puts the calls of an answer together from their pieces."""

    def __init__(self) -> None:
        self._calls: list[list[CallPart]] = []
        self._latest: dict[int, list[CallPart]] = {}  # the call that the next piece with an index belongs to

    def add(self, parts: tuple[CallPart, ...]) -> None:
        """Take the call pieces of the next chunk, whether or not each call has an index or an id of its own."""
        for part in parts:
            known = self._latest.get(part.index)
            if known is None and not part.name and self._calls:
                known = self._calls[-1]
            if known is None or _begins_another(part, known):
                known = []
                self._calls.append(known)
            self._latest[part.index] = known
            known.append(part)

    def blocks(self) -> list[str]:
        """Every call as Hermes writes it, `<tool_call>` tags included; arguments that are not JSON stay as they are."""
        return [_block(parts) for parts in self._calls]


class SurrogateJoiner:
    """Whole characters from pieces of text: some servers cut a character in two `\\ud83d` escapes, one per event."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, piece: str) -> str:
        """The text that is complete; half a character at its end waits for the next piece."""
        if not self._rest and piece.isascii():
            return piece
        text, self._rest = self._rest + piece, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._rest = text[:-1], text[-1]
        return _whole(text)

    def flush(self) -> str:
        """What still waits, as a replacement character."""
        rest, self._rest = self._rest, ""
        return _whole(rest)


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _begins_another(part: CallPart, known: list[CallPart]) -> bool:
    """Whether a piece begins another call: it has a name, with another id, or after arguments that are complete."""
    first = known[0]
    if not part.name:
        return False
    if part.id and first.id:
        return part.id != first.id
    complete = bool(part.arguments) and _is_json("".join(one.arguments for one in known))
    return part.name != first.name or complete


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _block(parts: list[CallPart]) -> str:
    arguments = "".join(part.arguments for part in parts) or "{}"
    return f'<tool_call>\n{{"name": {json.dumps(parts[0].name)}, "arguments": {arguments}}}\n</tool_call>'


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):  # content parts
        return "".join(_text(part.get("text")) for part in value if isinstance(part, dict))
    return ""


def _calls(part: Mapping[str, Any]) -> tuple[CallPart, ...]:
    calls = part.get("tool_calls")
    if not isinstance(calls, list):
        legacy = part.get("function_call")
        calls = [{"function": legacy}] if isinstance(legacy, dict) else []
    return tuple(_call(place, call) for place, call in enumerate(calls) if isinstance(call, dict))


def _call(place: int, call: Mapping[str, Any]) -> CallPart:
    function = call.get("function")
    if not isinstance(function, dict):
        function = {}
    arguments = function.get("arguments")
    if arguments is None:
        arguments = ""
    elif not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    index = call.get("index")
    name, id = function.get("name"), call.get("id")
    return CallPart(
        index if isinstance(index, int) else place,
        id if isinstance(id, str) else "",
        name if isinstance(name, str) else "",
        arguments,
    )


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, dict):
        return None
    details = value.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    usage = Usage(_count(value.get("prompt_tokens")), _count(cached), _count(value.get("completion_tokens")))
    return usage if usage.prompt_tokens else None


def _progress(value: Any) -> tuple[int, int] | None:
    if not isinstance(value, dict):
        return None
    return _count(value.get("processed")), _count(value.get("total"))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
