"""What commands print: text, JSON, and rows in columns."""

import json
import sys
from collections.abc import Iterable, Sequence

from hermes_cli.terminal.answer.output import StandardOutput
from hermes_cli.terminal.columns import beside, table, terminal_columns
from hermes_cli.terminal.console import is_terminal
from hermes_cli.terminal.sanitize import for_terminal, one_line

_WITHOUT_ENDS = str.maketrans("\t\r\n", "   ")  # the characters that end a column or a line
_BETWEEN = 2  # a name and its value
Rows = Iterable[Sequence[str]]


def write(text: str) -> None:
    """Print text; on a terminal without control characters."""
    StandardOutput().write(text)


def write_json(value: object) -> None:
    """Print a JSON value, indented."""
    write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_rows(
    head: Sequence[str],
    rows: Rows,
    piped: Rows | None = None,
    *,
    order: Sequence[int],
    elastic: int,
    right: Sequence[int] = (),
    wrap: bool = True,
) -> None:
    """Print a line for each row: in columns below `head` on a terminal, elsewhere tab-separated, as in `piped`."""
    if is_terminal(sys.stdout):
        shown = [[for_terminal(cell.translate(_WITHOUT_ENDS)) for cell in row] for row in (head, *rows)]
        write(table(shown, terminal_columns(sys.stdout), order=order, elastic=elastic, right=right, wrap=wrap))
    else:
        plain = rows if piped is None else piped
        write("".join("\t".join(cell.translate(_WITHOUT_ENDS) for cell in row) + "\n" for row in plain))


def fact_lines(facts: Iterable[tuple[str, str]]) -> str:
    """A line for each name and value, the values in one column; on a terminal they are broken between words."""
    known = list(facts)
    indent = max(len(name) for name, _ in known) + _BETWEEN
    columns = terminal_columns(sys.stdout)
    return "".join(f"{beside(name, one_line(value), indent, columns)}\n" for name, value in known)


def figure_lines(rows: Sequence[Sequence[str]]) -> str:
    """A line for each row, in columns aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line}\n" for line in lines)
