"""Grammars in GBNF, as llama.cpp reads them, for llguidance."""

import re
from typing import TYPE_CHECKING

from hermes_cli.engine.constraint.compiler import fault
from hermes_cli.errors import UsageError, shortened

if TYPE_CHECKING:
    from llguidance.gbnf_to_lark import GbnfToLarkError

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.)", re.DOTALL)
_FIRST_WIDE = 0x80
_SHOWN_CHARACTERS = 80


def from_gbnf(text: str) -> str:
    """The grammar for llguidance. Raises UsageError if it cannot be read, or nothing can be written by it."""
    from llguidance.gbnf_to_lark import GbnfToLarkError, gbnf_to_lark

    escaped = _ESCAPE.sub(_character, text)
    try:
        grammar: str = gbnf_to_lark(escaped)
    except GbnfToLarkError as error:
        raise _unusable(_placed(error, text)) from None
    except (RecursionError, IndexError):
        raise _unusable("it is not complete, or nested too deeply") from None
    except Exception as error:  # the converter raises nothing narrower
        raise _unusable(str(error)) from None
    if reason := fault(grammar):
        raise _unusable(reason)
    return grammar


def _character(escape: re.Match[str]) -> str:
    """The character of a \\u escape, which the converter would shorten; other escapes stay."""
    digits = escape[1] or escape[2]
    if digits is None:
        return escape[0]
    code = int(digits, 16)
    if code < _FIRST_WIDE:
        return f"\\x{code:02x}"
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise _unusable(f"{escape[0]} is not a character")
    return chr(code)


def _placed(error: "GbnfToLarkError", text: str) -> str:
    """An error with the number and the text of its line; the converter's own position counts characters it changed."""
    reason = str(error).rpartition(" at line ")[0]
    read = error.pos.text[: error.pos.pos]
    if not error.pos.text[error.pos.pos :].strip():
        read = read.rstrip()  # at the end: the last line that is not empty
    number = read.count("\n") + 1
    line = text.split("\n")[number - 1].strip()
    return f"line {number}: {reason[:1].lower()}{reason[1:]}: {shortened(line, _SHOWN_CHARACTERS)}"


def _unusable(reason: str) -> UsageError:
    return UsageError(f"the grammar cannot be used: {reason}", "see docs/structured-output.md for what GBNF allows")
