"""A Markdown table: in columns, or row by row where the terminal is too narrow for them."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal, cast

from markdown_it.token import Token
from rich.console import Console
from rich.text import Text

from hermes_cli.terminal.markdown.inline import BOLD, DIM, inline_text

_NARROWEST_COLUMN = 10
_GAP = 2

Justify = Literal["left", "center", "right"]


def table_lines(tokens: Sequence[Token], console: Console, width: int) -> list[Text]:
    """The lines of a table; columns that are too wide together are cut down to one width, the widest first."""
    header, *rows = _cells(tokens)
    for cell in header:
        cell.stylize(BOLD)
    natural = [max(cell.cell_len for cell in column) for column in zip(header, *rows, strict=True)]
    room = width - _GAP * (len(natural) - 1)
    if sum(min(cells, _NARROWEST_COLUMN) for cells in natural) > room:
        return _records(header, rows, console, width)
    widest = max(natural)
    while sum(min(cells, widest) for cells in natural) > room:
        widest -= 1
    widths = [min(cells, widest) for cells in natural]
    justify = _alignment(tokens)
    rule = Text("─" * (sum(widths) + _GAP * (len(widths) - 1)), DIM)
    drawn = [_row_lines(row, widths, justify, console) for row in (header, *rows)]
    return [*drawn[0], rule, *(line for lines in drawn[1:] for line in lines)]


def _row_lines(row: list[Text], widths: list[int], justify: list[Justify], console: Console) -> list[Text]:
    """The lines of one row: a cell that is too wide takes several."""
    cells = [
        list(cell.wrap(console, width)) if cell.cell_len > width else [cell]
        for cell, width in zip(row, widths, strict=True)
    ]
    lines = []
    for parts in zip_longest(*cells, fillvalue=Text()):
        line = Text()
        for part, width, side in zip(parts, widths, justify, strict=True):
            missing = width - part.cell_len
            before = {"left": 0, "center": missing // 2, "right": missing}[side]
            line.append(" " * before).append_text(part).append(" " * (missing - before + _GAP))
        lines.append(line)
    return lines


def _records(header: list[Text], rows: list[list[Text]], console: Console, width: int) -> list[Text]:
    """Each cell under the name of its column; a blank line between rows."""
    lines: list[Text] = []
    for row in rows or [[Text() for _ in header]]:
        lines += [Text()] if lines else []
        for name, cell in zip(header, row, strict=True):
            label = Text.assemble(name, (": ", BOLD)) if name.plain.strip() else Text()
            lines += Text.assemble(label, cell).wrap(console, width)
    return lines


def _cells(tokens: Sequence[Token]) -> list[list[Text]]:
    """The cells, row by row, the header first; markdown-it gives all rows the same length."""
    rows: list[list[Text]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(inline_text(token.children or ()))
    return rows


def _alignment(tokens: Sequence[Token]) -> list[Justify]:
    styles = (str(token.attrs.get("style", "")) for token in tokens if token.type == "th_open")
    return [cast(Justify, style.removeprefix("text-align:") or "left") for style in styles]
