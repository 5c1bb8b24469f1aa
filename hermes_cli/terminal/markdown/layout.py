"""Blocks of Markdown as lines of styled text: no panels, gutters or padding, so that what is copied is the text."""

from collections.abc import Iterable, Sequence
from functools import cache

from markdown_it.token import Token
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from hermes_cli.terminal.markdown.code_highlight import PLAIN_CODE, CodeHighlighter
from hermes_cli.terminal.markdown.inline import BOLD, DIM, inline_text
from hermes_cli.terminal.markdown.stream import LISTS, blocks, code_language, code_lines, item_labels
from hermes_cli.terminal.markdown.table import table_lines

_HEADINGS = {"h1": Style(bold=True, underline=True, color="magenta"), "h2": Style(bold=True, color="magenta")}
_BULLETS = "•◦▪"
_RULE_COLUMNS = 40
_NARROWEST = 8
WIDEST_PROSE = 100


@cache
def console() -> Console:
    """What Rich needs to wrap and to draw tables; nothing is printed with it."""
    return Console(width=WIDEST_PROSE, color_system=None, force_terminal=False, legacy_windows=False, _environ={})


def block_lines(block: Sequence[Token], width: int, depth: int = 0) -> list[Text]:
    """The lines of a block that is `width` columns wide; tables may take more than prose, code is never wrapped."""
    opening = block[0]
    match opening.type:
        case "paragraph_open":
            return _wrapped(inline_text(block[1].children or ()), width)
        case "heading_open":
            return _wrapped(inline_text(block[1].children or (), _HEADINGS.get(opening.tag, BOLD)), width)
        case "bullet_list_open" | "ordered_list_open":
            return _list_lines(block, width, depth)
        case "blockquote_open":
            bar = ("│ ", DIM)
            return _hanging(_stacked(block, _inner(width, 2), depth), bar, bar)
        case "table_open":
            return table_lines(block, console(), max(width, _NARROWEST))
        case "fence" | "code_block":
            return _code_block_lines(opening)
        case "hr":
            return [Text("─" * min(width, _RULE_COLUMNS), DIM)]
    return []


def item_lines(item: Sequence[Token], label: str, width: int, depth: int = 0) -> list[Text]:
    """The lines of a list item; without a label it gets a bullet."""
    mark = f"{label:>3} " if label else f" {_BULLETS[min(depth, 2)]} "
    lines = _stacked(item, _inner(width, cell_len(mark)), depth + 1) or [Text()]
    return _hanging(lines, (mark, Style()), (" " * cell_len(mark), Style()))


def is_tall(item: Sequence[Token]) -> bool:
    """Whether an item holds more than a paragraph and lists, so that it stands apart from the next."""
    return sum(child[0].type not in LISTS for child in _children(item)) > 1


def window_rows(text: Text, width: int) -> list[Text]:
    """A line as the rows it takes in a window; for code, which is not wrapped to fit."""
    text.expand_tabs(8)
    return list(text.wrap(console(), width, overflow="fold")) if text.cell_len > width else [text]


def _wrapped(text: Text, width: int) -> list[Text]:
    return list(text.wrap(console(), max(width, _NARROWEST)))


def _children(block: Sequence[Token]) -> Iterable[list[Token]]:
    return blocks(block[1:-1], block[0].level + 1)


def _stacked(block: Sequence[Token], width: int, depth: int) -> list[Text]:
    """The blocks within a block, a blank line between them, except before a list under its paragraph."""
    lines: list[Text] = []
    for child in _children(block):
        drawn = block_lines(child, width, depth)
        if lines and drawn and not (block[0].type == "list_item_open" and child[0].type in LISTS):
            lines.append(Text())
        lines += drawn
    return lines


def _list_lines(block: Sequence[Token], width: int, depth: int) -> list[Text]:
    lines: list[Text] = []
    apart = False
    for label, item in item_labels(block):
        lines += [Text()] if apart else []
        lines += item_lines(item, label, width, depth)
        apart = is_tall(item)
    return lines


def _code_block_lines(code: Token) -> list[Text]:
    if code.type == "code_block":
        return [Text(line, PLAIN_CODE) for line in code_lines(code)]
    highlight = CodeHighlighter(code_language(code))
    return [highlight.line(line) for line in code_lines(code)]


def _hanging(lines: list[Text], first: tuple[str, Style], rest: tuple[str, Style]) -> list[Text]:
    return [Text.assemble(rest if number else first, line) for number, line in enumerate(lines)]


def _inner(width: int, taken: int) -> int:
    """The width left within a block, never less than can be read."""
    return max(width - taken, _NARROWEST)
