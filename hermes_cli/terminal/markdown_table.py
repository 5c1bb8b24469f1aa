"""A Markdown table: in columns, or row by row where the window is too narrow for them."""

from collections.abc import Sequence
from typing import Literal, cast

from markdown_it.token import Token
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hermes_cli.terminal.markdown_inline import BOLD, DIM, inline_text

_NARROWEST_COLUMN = 10
_GAP = 2

Justify = Literal["left", "center", "right"]


def table_lines(tokens: Sequence[Token], console: Console, width: int) -> list[Text]:
    """The lines of a table."""
    header, *rows = _cells(tokens)
    needed = sum(
        min(max(cell.cell_len for cell in column), _NARROWEST_COLUMN) + _GAP
        for column in zip(header, *rows, strict=True)
    )
    if needed - _GAP > width:
        return _records(header, rows, console, width)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0), border_style=DIM)
    for name, justify in zip(header, _alignment(tokens), strict=True):
        table.add_column(name, header_style=BOLD, justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*row)
    drawn = console.render_lines(table, console.options.update(width=width), pad=False)
    return [Text.assemble(*((part.text, part.style or "") for part in line)) for line in drawn]


def _records(header: list[Text], rows: list[list[Text]], console: Console, width: int) -> list[Text]:
    """Each cell under the name of its column; a blank line between rows."""
    lines: list[Text] = []
    for row in rows or [[Text() for _ in header]]:
        lines += [Text()] if lines else []
        for name, cell in zip(header, row, strict=True):
            label = Text.assemble(name, ": ") if name.plain.strip() else Text()
            label.stylize(BOLD)
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
