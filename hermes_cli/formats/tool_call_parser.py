"""Finding tool calls in an answer while it streams.

Only what stands between `<tool_call>` and `</tool_call>` is ever a call; all other text is passed on unchanged. A tag
inside a string of the call is part of that string. What is cut off or cannot be read becomes a `BrokenCall`.
"""

import ast
import itertools
import json
import math
import re
import warnings
from typing import Any

from hermes_cli.chat.tool_call import BrokenCall, ToolCall

CallEvent = str | ToolCall | BrokenCall

_START, _END = "<tool_call>", "</tool_call>"
_TAG_OR_QUOTE = re.compile(r"[\"']|</?tool_call>")
_STRING_STEP = {quote: re.compile(rf"\\|{quote}") for quote in "\"'"}
_SPACE = re.compile(r"\s*")
_MOST_LITERAL_CHARACTERS = 50_000
_DEEPEST = 60
_FORM = 'write one JSON object as {"name": <function-name>, "arguments": <args-dict>} inside <tool_call> tags'


class ToolCallParser:
    """Takes the text of one answer in pieces; the same calls and the same text come out however it was cut."""

    def __init__(self) -> None:
        self._rest = ""
        self._inside = False
        self._scanned = 0  # so much of `_rest` needs no second look
        self._quote = ""  # the quote that ends the string which is open there
        self._quotes = ""  # those that open strings: JSON knows one, Python two

    def feed(self, text: str) -> list[CallEvent]:
        """Text outside of calls as soon as it is certain, and every call that is complete now."""
        self._rest += text
        events: list[CallEvent] = []
        while self._read_block(events) if self._inside else self._read_text(events):
            pass
        return events

    def finish(self, *, ended: bool = True) -> list[CallEvent]:
        """What was held back. A call without its closing tag counts only if the turn `ended` after a whole object."""
        rest, self._rest = self._rest, ""
        if not self._inside:
            return [rest] if rest else []
        self._inside = False
        if not ended:
            return [BrokenCall(rest, f"the call was cut off before its end; {_FORM}")]
        return list(_calls(rest))

    def _read_text(self, events: list[CallEvent]) -> bool:
        """Pass text on up to an opening tag; whether one came."""
        before, tag, after = self._rest.partition(_START)
        if not tag:
            keep = next((size for size in range(len(_START) - 1, 0, -1) if before.endswith(_START[:size])), 0)
            before, after = before[: len(before) - keep], before[len(before) - keep :]
        if before:
            events.append(before)
        self._rest = after
        self._open(inside=bool(tag))
        return self._inside

    def _open(self, *, inside: bool) -> None:
        self._inside, self._scanned, self._quote, self._quotes = inside, 0, "", ""

    def _read_block(self, events: list[CallEvent]) -> bool:
        """Look for the tag that ends the call, outside of strings; whether it came. A new opening tag ends it too."""
        while True:
            pattern = _STRING_STEP[self._quote] if self._quote else _TAG_OR_QUOTE
            found = pattern.search(self._rest, self._scanned)
            if found is None:
                # Outside of a string the end may be the beginning of a tag.
                self._scanned = max(self._scanned, len(self._rest) - (0 if self._quote else len(_END) - 1))
                return False
            if found[0] == "\\":
                if found.end() == len(self._rest):
                    self._scanned = found.start()
                    return False
                self._scanned = found.end() + 1
            elif found[0] in (_START, _END):
                block, self._rest = self._rest[: found.start()], self._rest[found.end() :]
                self._open(inside=found[0] == _START)
                events += _calls(block)
                return True
            else:
                self._see_quote(found[0])
                self._scanned = found.end()

    def _see_quote(self, quote: str) -> None:
        self._quotes = self._quotes or ('"' if quote == '"' else "\"'")
        if self._quote:
            self._quote = ""
        elif quote in self._quotes:
            self._quote = quote


def _calls(block: str) -> list[ToolCall | BrokenCall]:
    """The calls that stand between two tags: one, or several objects in a row."""
    try:
        return [_call(value, block) for value in _values(block)]
    except (ValueError, RecursionError) as error:
        return [BrokenCall(block, f"the call cannot be read: {error or 'it is nested too deeply'}; {_FORM}")]


def _values(block: str) -> list[Any]:
    """The JSON objects in the block, else the Python literal that it is. Raises ValueError, RecursionError."""
    decoder = json.JSONDecoder(strict=False)
    values: list[Any] = []
    at = _SPACE.match(block).end()  # type: ignore[union-attr]
    if at == len(block):
        raise ValueError("it is empty")
    try:
        while at < len(block):
            value, at = decoder.raw_decode(block, at)
            values.append(value)
            at = _SPACE.match(block, at).end()  # type: ignore[union-attr]
    except ValueError as error:
        literal = _literal(block.strip())
        if literal is None:
            raise error
        values = [literal]
    return [_plain(value) for value in values]


def _literal(text: str) -> Any:
    """A Python dict display, which some training data used; None if `text` is none, or one too large to try."""
    if len(text) > _MOST_LITERAL_CHARACTERS or not text.startswith("{"):
        return None
    depths = itertools.accumulate((character in "([{") - (character in ")]}") for character in text)
    if max(depths) > _DEEPEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that Python does not know
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON has it. Raises ValueError for what JSON has not."""
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("keys must be strings")
        return {_plain(key): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, depth + 1) for each in value]
    if isinstance(value, str):
        value.encode()  # half a character, as "\ud800", is no text
        return value
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"{value!r:.40} is not a JSON value")


def _call(value: Any, block: str) -> ToolCall | BrokenCall:
    """The call that an object stands for. Arguments may be a JSON text, may be called parameters, or be left out."""
    if not isinstance(value, dict):
        return BrokenCall(block, f"the call is not an object; {_FORM}")
    name = value.get("name")
    if not isinstance(name, str) or not name.strip():
        return BrokenCall(block, f"the call has no name; {_FORM}")
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = _values(arguments)[0] if arguments.strip() else None
        except (ValueError, RecursionError):
            return BrokenCall(block, f"the arguments of {name} cannot be read; {_FORM}")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        return BrokenCall(block, f"the arguments of {name} are not an object; {_FORM}")
    return ToolCall(name.strip(), arguments)
