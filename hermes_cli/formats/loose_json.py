"""A lenient JSON parser for the output of models: Python's quotes and names, typographic quotes, unbalanced braces.

Only unambiguous text is accepted; everything else is a `Fault` with the position and reason.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

_SPACE = re.compile(r"\s*+")
_BETWEEN = re.compile(r"[\s,}\]]*+")  # between two values, and a closing brace too many
_WORD = re.compile(r"[A-Za-z_]\w*+")
_NUMBER = re.compile(r"(?P<whole>-?(?:0|[1-9]\d*+))(?P<rest>(?:\.\d++)?(?:[eE][+-]?\d++)?)(?![\w.])")
_MEMBER_FOLLOWS = re.compile(r"\s*,\s*[\"'“]")
_CLOSING = {'"': '"', "'": "'", "“": "“”", "”": "”", "‘": "‘’"}
_CHUNK = {quote: re.compile(rf"[^\\{ends}]*+") for quote, ends in _CLOSING.items()}
_ESCAPE = re.compile(
    r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}"
)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "0": "\0", "\n": ""}
_PLAIN = "\"'\\/“”‘’"
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_DEEPEST = 60


class Fault(ValueError):
    """Text that is not a value. `last_string` is where the last string began, `inside_string` whether it is open."""

    def __init__(self, problem: str, last_string: int, *, inside_string: bool = False) -> None:
        super().__init__(problem)
        self.last_string, self.inside_string = last_string, inside_string


@dataclass(frozen=True, slots=True)
class Values:
    """What a text holds: its objects and lists in a row, the text behind them, and the fault that ended reading.

    `unclosed` if the text ended before the last value was closed.
    """

    values: tuple[Any, ...]
    rest: str
    fault: Fault | None = None
    unclosed: bool = False


def read_values(text: str) -> Values:
    """The objects and lists that `text` begins with."""
    reader, values, at = _Reader(text), list[Any](), _SPACE.match(text).end()  # type: ignore[union-attr]
    try:
        while at < len(text) and text[at] in "{[":
            value, at = reader.value(at, 0)
            while isinstance(value, dict) and _MEMBER_FOLLOWS.match(text, at):  # it was closed too early
                at = reader.members(value, text.index(",", at) + 1, 0)
            values.append(value)
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
    except Fault as fault:
        return Values(tuple(values), text[at:], fault)
    return Values(tuple(values), text[at:], unclosed=reader.unclosed)


class _Reader:
    """Reads values of one text by recursive descent; every method takes a position and returns the one behind."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._last_string = 0
        self.unclosed = False

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        """Any value. Raises Fault."""
        if depth > _DEEPEST:
            raise self._fault("it is nested too deeply")
        first = self._text[at : at + 1]
        if first == "{":
            members: dict[str, Any] = {}
            return members, self.members(members, at + 1, depth)
        if first and first in "[(":
            return self._items(at + 1, "]" if first == "[" else ")", depth)
        if first and first in _CLOSING:
            return self._string(at)
        if word := _WORD.match(self._text, at):
            if word[0] in _WORDS:
                return _WORDS[word[0]], word.end()
            raise self._fault(f"{word[0]:.40} is not a JSON value")
        return self._number(at)

    def members(self, into: dict[str, Any], at: int, depth: int) -> int:
        """The members of an object and its closing brace, which may be missing at the outermost level."""
        while True:
            at = self._skip(at)
            first = self._text[at : at + 1]
            if first == "}":
                return at + 1
            if first == "{" and self._may_end(into, depth):
                return at
            key, at = self._key(at)
            at = self._skip(at)
            if self._text[at : at + 1] != ":":
                raise self._fault(f"Expecting ':' after {key!r:.40}")
            into[key], at = self.value(self._skip(at + 1), depth + 1)
            at = self._skip(at)
            first = self._text[at : at + 1]
            if first == ",":
                at += 1
            elif first == "" and depth <= 1:
                self.unclosed = True
                return at
            elif first != "}" and not (first == "{" and self._may_end(into, depth)):
                raise self._fault(f"Expecting ',' or a closing brace after the value of {key!r:.40}")

    @staticmethod
    def _may_end(members: dict[str, Any], depth: int) -> bool:
        """Whether the brace that opens another call may stand for a missing closing one."""
        return depth == 0 and isinstance(next(reversed(members.values()), None), dict)

    def _key(self, at: int) -> tuple[str, int]:
        if self._text[at : at + 1] in _CLOSING:
            return self._string(at)
        if word := _WORD.match(self._text, at):
            return word[0], word.end()
        raise self._fault("keys must be strings")

    def _items(self, at: int, closing: str, depth: int) -> tuple[list[Any], int]:
        """The items of a list, or of a Python tuple. The outermost list may lack its end."""
        items: list[Any] = []
        while True:
            at = self._skip(at)
            if self._text[at : at + 1] == closing:
                return items, at + 1
            if at == len(self._text) and depth == 0 and items:
                self.unclosed = True
                return items, at
            item, at = self.value(at, depth + 1)
            items.append(item)
            at = self._skip(at)
            first = self._text[at : at + 1]
            if first == ",":
                at += 1
            elif first != closing and not (depth == 0 and first in ("{", "")):
                raise self._fault(f"Expecting ',' or {closing} in a list")

    def _string(self, at: int) -> tuple[str, int]:
        """A string in quotes of any kind. Raises Fault, also for half a character."""
        quote, pieces = self._text[at], list[str]()
        self._last_string = at
        at += 1
        while True:
            chunk = _CHUNK[quote].match(self._text, at)
            assert chunk
            pieces.append(chunk[0])
            at = chunk.end()
            if self._text[at : at + 1] in ("", "\\") and at + 1 >= len(self._text):
                raise Fault("a string has no closing quote", self._last_string, inside_string=True)
            if self._text[at] != "\\":
                break
            piece, at = self._escaped(at + 1)
            pieces.append(piece)
        text = "".join(pieces)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise self._fault("half a character is not text")
        return text, at + 1

    def _escaped(self, at: int) -> tuple[str, int]:
        """The character that stands for what follows a backslash; an unknown escape is kept as it is, as in Python."""
        if found := _ESCAPE.match(self._text, at):
            units = [int(digits, 16) for digits in re.findall(r"[uUx]([0-9a-fA-F]+)", found[0])]
            if len(units) == 2:
                units = [0x10000 + (units[0] - 0xD800 << 10) + units[1] - 0xDC00]
            if units[0] > 0x10FFFF:
                raise self._fault("it has a character that does not exist")
            return chr(units[0]), found.end()
        character = self._text[at]
        kept = character if character in _PLAIN else f"\\{character}"
        return _SHORT.get(character, kept), at + 1

    def _number(self, at: int) -> tuple[int | float, int]:
        found = _NUMBER.match(self._text, at)
        if not found:
            raise self._fault("Expecting value" if at < len(self._text) else "it ends too early")
        if found["rest"]:
            number = float(found[0])
            if math.isinf(number):
                raise self._fault(f"{found[0]:.40} is larger than any number")
            return number, found.end()
        try:
            return int(found["whole"]), found.end()
        except ValueError as error:  # Python's limit of digits
            raise self._fault("a number has too many digits") from error

    def _skip(self, at: int) -> int:
        return _SPACE.match(self._text, at).end()  # type: ignore[union-attr]

    def _fault(self, problem: str) -> Fault:
        return Fault(problem, self._last_string)
