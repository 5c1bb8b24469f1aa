"""Pieces of Markdown as the characters that go to the terminal, with the blank lines between them."""

import os
from collections.abc import Iterable
from copy import copy
from functools import cache, lru_cache
from typing import Literal

from rich.color import ColorSystem
from rich.style import Style
from rich.text import Text

from hermes_cli.terminal.answer.appearance import TERMINAL_THEME, appearance
from hermes_cli.terminal.markdown.code_highlight import CodeHighlighter
from hermes_cli.terminal.markdown.inline import DIM
from hermes_cli.terminal.markdown.layout import (
    block_lines,
    console,
    frame_bottom,
    frame_top,
    is_tall,
    item_lines,
    terminal_rows,
)
from hermes_cli.terminal.markdown.painter import Row
from hermes_cli.terminal.markdown.stream import Block, Code, Item, Piece, pieces_of
from hermes_cli.terminal.sanitize import for_terminal

Styling = Literal["colors", "attributes", "none"]
_NARROWEST = 8


def render_markdown(text: str, width: int, color: bool) -> str:
    """`text` as it stands on a terminal `width` columns wide once it was streamed; bold and dim need no `color`."""
    return MarkdownWriter("colors" if color else "attributes").lines(pieces_of(for_terminal(text)), width)


class MarkdownWriter:
    """Turns blocks into lines, in order; it remembers the block before the next one."""

    def __init__(self, styling: Styling) -> None:
        self._styling = styling
        self._begun = False
        self._gap = 0
        self._apart = False
        self._code: CodeHighlighter | None = None

    def begin(self) -> None:
        """Start the next block at the top, without blank lines before it."""
        self._begun, self._gap = False, 0

    def lines(self, pieces: Iterable[Piece], width: int) -> str:
        """The characters of final pieces, line ends included."""
        return "".join(f"{self._codes(line)}\n" for piece in pieces for line in self._drawn(piece, width))

    def rows(self, pieces: Iterable[Piece], width: int, count: int) -> list[Row]:
        """The last `count` rows of blocks that are not final; they are not remembered."""
        ahead = copy(self)
        ahead._code = self._code and self._code.fork()
        lines = [line for piece in pieces for line in ahead._drawn(piece, width)]
        rows = [row for line in lines[-count:] for row in terminal_rows(line, width)]
        return [Row(self._codes(row), row.cell_len) for row in rows[-count:]]

    def dim_row(self, text: str, width: int) -> Row:
        """A row that is not part of the text."""
        row = Text(text[: max(width - 1, 0)], DIM)
        return Row(self._codes(row), row.cell_len)

    def _drawn(self, piece: Piece, width: int) -> list[Text]:
        """The lines of a piece and the blank lines before it."""
        width = max(width, _NARROWEST)
        prose = min(width, appearance().width)
        match piece:
            case Block(tokens):
                drawn = block_lines(tokens, width if tokens[0].type == "table_open" else prose)
                self._gap = 1
            case Item(tokens, label, first):
                drawn = item_lines(tokens, label, prose)
                self._gap = int(first or self._apart)
                self._apart = is_tall(tokens)
            case Code(language, lines, first, last):
                if first:
                    self._code, self._gap = CodeHighlighter(language if self._styling == "colors" else ""), 1
                assert self._code
                drawn = [self._code.line(line) for line in lines]
                framed = self._spaced([*([frame_top(language, prose)] if first else []), *drawn])
                if not last:
                    return framed
                self._gap = 0  # blank lines at the end are not shown
                return framed + self._spaced([frame_bottom(prose)])
        return self._spaced(drawn)

    def _spaced(self, lines: list[Text]) -> list[Text]:
        """`lines` after their gap; blank lines wait for one that is not, so that none stand at the end."""
        spaced: list[Text] = []
        for line in lines:
            line.rstrip()
            if line:
                spaced += [Text()] * (self._gap if self._begun else 0)
                spaced.append(line)
                self._begun, self._gap = True, 0
            else:
                self._gap += 1
        return spaced

    def _codes(self, line: Text) -> str:
        """A line with its styles as codes; all text is made harmless once more."""
        if self._styling == "none" or not (line.spans or line.style):
            return _harmless(line.plain)
        if not line.spans:
            line.stylize(line.style)
        codes = []
        for segment in line.render(console()):
            style = segment.style or Style.null()
            style = style if self._styling == "colors" else _without_color(style)
            codes.append(style.render(_harmless(segment.text), color_system=_color_system()))
        return "".join(codes)


def _harmless(text: str) -> str:
    return for_terminal(text).replace("\n", " ")


@cache
def _color_system() -> ColorSystem:
    """The colours that can be used: those of a theme only where the terminal says that it has more than 16."""
    if appearance().theme == TERMINAL_THEME:
        return ColorSystem.STANDARD
    return ColorSystem.TRUECOLOR if os.environ.get("COLORTERM") in ("truecolor", "24bit") else ColorSystem.EIGHT_BIT


@lru_cache(maxsize=64)
def _without_color(style: Style) -> Style:
    return style.without_color
