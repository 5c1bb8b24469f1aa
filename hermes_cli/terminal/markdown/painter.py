"""Repaints the rows below the finished lines in place, with one write for every frame.

Rows are erased one by one and never with "erase to the end", which some terminals keep in their history. Autowrap is
off while painting, so that a character of unexpected width cannot add a row.
"""

from collections.abc import Callable
from dataclasses import dataclass

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_ERASE_ROW, _UP = "\x1b[2K", "\x1b[1A"
_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"
RESTORE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?2026l"


@dataclass(frozen=True, slots=True)
class Row:
    """A row on the screen: its characters with their codes, and how many cells they take."""

    codes: str
    cells: int


class Painter:
    """Knows the rows it painted last; the cursor waits at the end of the last one.

    `reflows` says that the terminal wraps long rows again when it gets narrower, as nearly all do.
    """

    def __init__(self, send: Callable[[bytes], None], *, reflows: bool = True) -> None:
        self._send = send
        self._reflows = reflows
        self._rows: list[Row] = []
        self._columns = 0
        self._torn = False

    @property
    def clean(self) -> bool:
        """Whether no rows have to be erased or restored."""
        return not self._rows and not self._torn

    def paint(self, committed: str, rows: list[Row], columns: int) -> None:
        """Put `committed`, whole lines, in the place of the old rows, and the new rows below."""
        same_place = not committed and (columns == self._columns or not self._rows)
        kept = _common(self._rows, rows) if same_place else 0
        if same_place and kept == len(self._rows) == len(rows):
            return
        if len(rows) < len(self._rows):
            kept = max(min(kept, len(rows) - 1), 0)  # the cursor has to come to the end of the last row
        added = self._added(kept, rows) if same_place else None
        if added is not None:
            codes = f"{_WRAP_OFF}{added}{_WRAP_ON}"
        else:
            painted = f"{_WRAP_OFF}{_joined(rows[kept:])}{_WRAP_ON}" if rows[kept:] else ""
            codes = f"{self._erased(kept, columns)}{committed}{painted}"
        self._frame(f"{codes}{_END}", rows, columns)

    def finish(self, committed: str, columns: int) -> None:
        """Put `committed` in the place of the rows and leave the terminal as a shell expects it."""
        self._frame(f"{self._erased(0, columns)}{committed}{RESTORE}", [], columns)

    def forget(self) -> None:
        """Leave the rows as they are, because another program wrote to the terminal and the cursor is on a new line."""
        self._rows = []

    def _added(self, kept: int, rows: list[Row]) -> str | None:
        """The text that continues at the cursor, if nothing else is new."""
        if not self._rows or self._torn or len(rows) < len(self._rows):
            return None
        if kept == len(self._rows):
            return "\n" + _joined(rows[kept:])
        last = self._rows[-1]
        if kept == len(self._rows) - 1 and last.cells < self._columns and rows[kept].codes.startswith(last.codes):
            return _joined(rows[kept:])[len(last.codes) :]
        return None

    def _erased(self, kept: int, columns: int) -> str:
        """The codes that erase the rows but the first `kept`, and leave the cursor where they began."""
        if self._torn:
            return f"{RESTORE}{_BEGIN}\r\n"
        height = sum(self._height(row, columns) for row in self._rows[kept:])
        return f"\r{_ERASE_ROW}{(_UP + _ERASE_ROW) * (height - 1)}" if height else ""

    def _height(self, row: Row, columns: int) -> int:
        """How many rows of the terminal a row takes now: the terminal may be narrower than before."""
        if not self._reflows or columns >= self._columns:
            return 1
        return max(-(-min(row.cells, self._columns) // columns), 1)

    def _frame(self, codes: str, rows: list[Row], columns: int) -> None:
        """One write; if it is cut short, the state of the screen is unknown."""
        self._torn = True
        self._send(f"{_BEGIN}{codes}".encode("utf-8", "replace"))
        self._torn = False
        self._rows, self._columns = rows, columns


def _joined(rows: list[Row]) -> str:
    return "\n".join(row.codes for row in rows)


def _common(old: list[Row], new: list[Row]) -> int:
    """How many rows at the start are the same."""
    pairs = zip(old, new, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(old), len(new)))
