"""Text in lines and columns that fit a terminal width, by how wide its characters are: cut, or broken between words."""

import itertools
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence

_WORD = re.compile(r" ('[^']*'(?![^ ;,])|[^ ]*)")  # a name in quotes is one, in a command that is copied
_BETWEEN = 2
_LEAST = 20  # what the elastic column keeps before others leave
_TOO_LITTLE = 12


def terminal_columns(stream: object) -> int:
    """The width of the terminal behind `stream`; a pipe or a file has no end of a line."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or sys.maxsize  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return sys.maxsize


def cells(text: str) -> int:
    """The columns that `text` takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def cut(text: str, room: int) -> str:
    """The beginning of `text` that fits into this many columns."""
    if cells(text) <= room:
        return text
    ends = itertools.accumulate(map(_cells, text))
    return text[: sum(end < room for end in ends)].rstrip() + "…"


def wrapped(text: str, columns: int, taken: int = 0) -> list[str]:
    """One line as several, broken at spaces outside quotes: a longer word stays whole. The first has `taken` less."""
    if cells(text) + taken <= columns:
        return [text]
    first, *words = _WORD.findall(f" {text}")
    lines, used = [first], taken + cells(first)
    for word in words:
        used += 1 + cells(word)
        if used <= columns:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
            used = cells(word)
    return lines


def beside(label: str, text: str, indent: int, columns: int) -> str:
    """`label`, and from column `indent` on one line of text, which is continued below itself where it does not fit.

    It is broken between words, by spaces up to the end of a row: a newline would break a command that someone copies.
    A word that is too long for its column has a row of its own, and begins as far to the left as it has to.
    """
    room = columns - indent - 1
    rows = wrapped(text, room)
    if cells(rows[0]) > room:
        rows.insert(0, "")
    shown = ""
    for number, row in enumerate(rows):
        start = min(indent, max(columns - 1 - cells(row), 0))
        line = (" " * start if number else f"{label:<{indent}}") + row
        shown += line + " " * (-cells(line) % columns or 1 if number < len(rows) - 1 else 0)
    return shown


def table(
    rows: Sequence[Sequence[str]],
    columns: int,
    *,
    order: Sequence[int],
    elastic: int,
    right: Sequence[int] = (),
    wrap: bool = True,
    always: int = 1,
) -> str:
    """Aligned columns that fit into `columns`, a newline after each row.

    The column `elastic` takes what the others leave: wrapped, also in the middle of a word that is longer, or else cut.
    Of the others, named in `order`, the first `always` are always there, the next as long as the elastic one keeps
    enough, or where it has next to nothing even so, in its place.
    """
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    shown = {*order[:always]}
    room = columns - sum(widths[column] for column in shown) - _BETWEEN * (always - 1)
    least = 0
    if room >= min(_TOO_LITTLE, widths[elastic]) + _BETWEEN:
        shown.add(elastic)
        least = min(_LEAST, widths[elastic]) + _BETWEEN
    for column in order[always:]:
        if room - widths[column] - _BETWEEN >= least:
            shown.add(column)
            room -= widths[column] + _BETWEEN
    widths[elastic] = max(min(widths[elastic], room - _BETWEEN), 1)
    text = ""
    for row in rows:
        cell = row[elastic] if elastic in shown else ""
        parts = list(_folded(cell, widths[elastic])) if wrap else [cut(cell, widths[elastic])]
        for number, part in enumerate(parts):
            line = []
            for column in sorted(shown):
                cell = part if column == elastic else "" if number else row[column]
                space = " " * (widths[column] - cells(cell))
                line.append(space + cell if column in right else cell + space)
            text += (" " * _BETWEEN).join(line).rstrip() + "\n"
    return text


def _folded(text: str, columns: int) -> Iterator[str]:
    """`text` in lines of at most `columns`, broken at spaces, else after a slash, else anywhere."""
    for line in itertools.chain.from_iterable(wrapped(one, columns) for one in text.split("\n")):
        rest = line
        while cells(rest) > columns:
            fits = max(sum(end <= columns for end in itertools.accumulate(map(_cells, rest))), 1)
            end = rest.rfind("/", 0, fits) + 1 or fits
            yield rest[:end]
            rest = rest[end:]
        yield rest


def _cells(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else int(not unicodedata.combining(character))
