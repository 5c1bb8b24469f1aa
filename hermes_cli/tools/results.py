"""The results of a round of calls as the model reads them, cut to what its context holds."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hermes_cli.chat.context_window import most_that_fit, reserved_tokens, tight_room
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import GenerationRequest
from hermes_cli.chat.tool_call import ToolResult
from hermes_cli.formats.function_calling import response_block


def response_message(results: Sequence[ToolResult], limit: int | None = None) -> Message:
    """All results in one message, each cut to `limit` characters; its `tool_results` stay whole."""
    blocks = (response_block(result.call.name, _content(result, limit)) for result in results)
    return Message("tool", "\n".join(blocks), tool_results=tuple(results))


def fitting_limit(
    results: Sequence[ToolResult],
    asked: GenerationRequest,
    context_length: int,
    count: Callable[[tuple[Message, ...]], int],
) -> int | None:
    """The length in characters to cut results to, so that the context also holds an answer; None if they fit whole.

    The results follow `asked`. Where nothing of them would be left, room is kept for a short answer only. `count`
    returns the tokens of messages, `context_length` is their maximum.
    """

    def fits(room: int, limit: int | None = None) -> bool:
        return count((*asked.messages, response_message(results, limit))) <= room

    def most(room: int) -> int:
        return most_that_fit(LIMIT_CHARACTERS, lambda limit: fits(room, limit))

    room = context_length - reserved_tokens(context_length, asked.max_tokens)
    return None if fits(room) else most(room) or most(tight_room(context_length))


def _content(result: ToolResult, limit: int | None) -> object:
    content = result.value if result.error is None else result.error
    if limit is not None:
        content = limited(content, limit)
    return {"error": content} if result.approved and result.error is not None else content


def jsonable(value: Any) -> Any:
    """`value` as JSON can hold it. Raises ValueError or TypeError."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=_foreign)


def _foreign(value: Any) -> Any:
    """Numbers and arrays of other libraries; anything else cannot be represented in JSON."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"it holds a value of the class {type(value).__name__}")


LIMIT_CHARACTERS = 20_000


def limited(value: Any, limit: int = LIMIT_CHARACTERS) -> Any:
    """`value`, or the beginning of it as text with a notice where it is longer than `limit` characters as JSON.

    What JSON has no number for becomes a text such as "NaN". Raises ValueError or RecursionError for what JSON cannot
    hold.
    """
    if isinstance(value, str):
        return value if len(value) <= limit else cut(value, limit)
    pieces: list[str] = []
    size = 0
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            return cut("".join(pieces), limit)
    return json.loads("".join(pieces), parse_constant=str)


def cut(text: str, limit: int = LIMIT_CHARACTERS) -> str:
    """The beginning of `text`, and a line that says it was cut."""
    return f"{text[:limit]}\n[cut here: the output is longer than {limit:,} characters]"
