r"""Patterns of JSON Schema are those of ECMA-262: read so by the final check and by the grammar alike.

`\d`, `\w` and `\b` mean ASCII, `$` the very end, `.` anything but a line break; a brace that counts nothing is itself.
"""

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex

_SPACE = r"\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_LINE_ENDS = "\\n\\r\u2028\u2029"
# Control characters that only \u spells. A grammar has them where a pattern names them, but not in what it leaves open:
# patterns take \u for nothing else, so a model that begins to write \u00e9 would have to end with one of these.
_CONTROLS = r"\x00-\x07\x0b\x0e-\x1f\x7f"
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": _SPACE}
_TOKEN = re.compile(
    r"\\(?P<property>[pP]\{[^}]*\})|\\u\{(?P<long>[0-9a-fA-F]+)\}|\\u(?P<four>[0-9a-fA-F]{4})|\\x(?P<two>[0-9a-fA-F]{2})"
    r"|\\c(?P<control>[A-Za-z])|\\(?P<escape>.)|(?P<group>\(\?<[A-Za-z_$][\w$]*>)|(?P<count>\{\d+(?:,\d*)?\})|(?P<other>.)",
    re.DOTALL,
)
_PROPERTIES = {
    "Letter": "L",
    "Lowercase_Letter": "Ll",
    "Uppercase_Letter": "Lu",
    "Number": "N",
    "Decimal_Number": "Nd",
    "Punctuation": "P",
    "Symbol": "S",
    "Separator": "Z",
    "Mark": "M",
    "digit": "Nd",
}
_ESCAPED = frozenset("\\^$.|?*+()[]{}/-&~#@ ")


@lru_cache(maxsize=512)
def compiled(pattern: str) -> "regex.Pattern[str]":
    """`pattern` for the `regex` library. Raises ValueError."""
    import regex

    try:
        return regex.compile(translated(pattern))
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(str(error)) from error


@lru_cache(maxsize=512)
def translated(pattern: str, *, for_grammar: bool = False) -> str:
    """`pattern` in the syntax of `regex`, or of llguidance, with the meaning that ECMA-262 gives it."""
    written: list[str] = []
    inside = False
    at = 0
    while at < len(pattern):
        found = _TOKEN.match(pattern, at)
        assert found
        at = found.end()
        if not inside and found["other"] == "[":
            inside = True
            negated = pattern.startswith("^", at)
            at += negated
            if pattern.startswith("]", at):  # nothing, or anything
                at, inside = at + 1, False
                written.append((f"[^{_CONTROLS}]" if for_grammar else r"[\s\S]") if negated else r"[^\s\S]")
            else:
                written.append(("[^" + _CONTROLS * for_grammar) if negated else "[")
            continue
        if inside and found["other"] == "]":
            inside = False
            written.append("]")
            continue
        written.append(_part(found, inside=inside, for_grammar=for_grammar))
    return "".join(written)


def _part(found: re.Match[str], *, inside: bool, for_grammar: bool) -> str:
    """One token of a pattern, translated."""
    if found["property"]:
        name = found["property"][2:-1].removeprefix("General_Category=").removeprefix("gc=")
        return f"\\{found['property'][0]}{{{_PROPERTIES.get(name, name)}}}"
    if code := found["long"] or found["four"] or found["two"]:
        return _character(int(code, 16), inside=inside)
    if found["control"]:
        return _character(ord(found["control"]) % 32, inside=inside)
    if found["escape"]:
        return _escape(found["escape"], inside=inside, for_grammar=for_grammar)
    if found["group"]:
        return f"(?P<{found['group'][3:-1].replace('$', '_')}>" if not inside else _each_escaped(found["group"])
    if found["count"]:
        return found["count"] if not inside else _each_escaped(found["count"])
    other = found["other"]
    if inside:
        return f"\\{other}" if other in "[&~#" else other
    match other:
        case "$" if not for_grammar:
            return r"\Z"
        case ".":
            return f"[^{_LINE_ENDS}{_CONTROLS * for_grammar}]"
        case "{" | "}" | "]":
            return f"\\{other}"
    return other


def _each_escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in _ESCAPED else letter for letter in text)


def _character(code: int, *, inside: bool) -> str:
    """The character itself, escaped where it would mean something."""
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return "\ufffd" if inside else r"[^\s\S]"  # half of a character, which no text has
    letter = chr(code)
    return f"\\{letter}" if letter in _ESCAPED else letter


def _escape(letter: str, *, inside: bool, for_grammar: bool) -> str:
    if letter.lower() in _CLASSES:
        characters = "".join(_readable(_CLASSES[letter.lower()]))
        if letter.islower():
            return characters if inside else f"[{characters}]"
        hidden = _CONTROLS * for_grammar
        return _complement(characters + hidden) if inside else f"[^{characters}{hidden}]"
    match letter:
        case "n" | "r" | "t" | "f" | "v":
            return f"\\{letter}"
        case "0":
            return "\\x00"
        case "b" if inside:
            return "\\x08"
        case "b" | "B":
            return f"\\{letter}"
        case "A":
            return "^"
        case "Z" | "z" if not inside:
            return "$" if for_grammar else "\\Z"
        case "k":
            return "\\g"
    return f"\\{letter}" if letter in _ESCAPED or letter.isdigit() else letter


def _readable(characters: str) -> str:
    """The characters that `\\u` names, themselves: the libraries spell them differently."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), characters)


@cache
def _complement(characters: str) -> str:
    """All other characters, as ranges for use inside brackets."""
    members = (code for code in range(0x10000) if re.match(f"[{characters}]", chr(code)))
    ranges, start = [], 0
    for member in members:
        if member > start:
            ranges.append((start, member - 1))
        start = member + 1
    ranges.append((start, 0x10FFFF))
    return "".join(f"{_point(low)}-{_point(high)}" if low < high else _point(low) for low, high in ranges)


def _point(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x80 else chr(code)
