"""Blocks of Markdown as lines of styled text, without panels, gutters or padding, so that text can be copied."""

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
_BOXES = {"[ ] ": "☐", "[x] ": "☑"}
_RULE_COLUMNS = 40
_NARROWEST = 8
_WIDTH = 100  # until a text is wrapped or drawn to its own


@cache
def console() -> Console:
    """What Rich needs to wrap and to draw tables; nothing is printed with it."""
    return Console(width=_WIDTH, color_system=None, force_terminal=False, legacy_windows=False, _environ={})


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
            return _framed(_code_block_lines(opening), code_language(opening), width)
        case "hr":
            return [Text("─" * min(width, _RULE_COLUMNS), DIM)]
    return []


def item_lines(item: Sequence[Token], label: str, width: int, depth: int = 0) -> list[Text]:
    """The lines of a list item; without a label it gets a bullet."""
    box, item = _task(item)
    label = f"{label} {box}".strip() if label else ""
    mark = f"{label:>3} " if label else f" {box or _BULLETS[min(depth, 2)]} "
    lines = _stacked(item, _inner(width, cell_len(mark)), depth + 1) or [Text()]
    return _hanging(lines, (mark, Style()), (" " * cell_len(mark), Style()))


def is_tall(item: Sequence[Token]) -> bool:
    """Whether an item holds more than a paragraph and lists, so that it stands apart from the next."""
    return sum(child[0].type not in LISTS for child in _children(item)) > 1


def terminal_rows(text: Text, width: int) -> list[Text]:
    """A line as the rows it takes at the terminal width; for code, which is not wrapped to fit."""
    text.expand_tabs(8)
    return list(text.wrap(console(), width, overflow="fold")) if text.cell_len > width else [text]


def frame_top(language: str, width: int) -> Text:
    """The line above a code block, with its language."""
    name = f"── {language} " if language else ""
    return Text(f"{name}{'─' * (min(width, _RULE_COLUMNS) - cell_len(name))}", DIM)


def frame_bottom(width: int) -> Text:
    """The line below a code block."""
    return frame_top("", width)


def _framed(lines: list[Text], language: str, width: int) -> list[Text]:
    """Code in its frame, without blank lines at the end."""
    while lines and not lines[-1].plain.strip():
        lines.pop()
    return [frame_top(language, width), *lines, frame_bottom(width)]


def _task(item: Sequence[Token]) -> tuple[str, Sequence[Token]]:
    """The box of an item that is a task, and the item without it; no box for others."""
    children = item[2].children if len(item) > 2 and item[2].type == "inline" else None
    box = _BOXES.get(children[0].content[:4].lower()) if children and children[0].type == "text" else None
    if not children or not box:
        return "", item
    text = children[0].copy(content=children[0].content[4:])
    return box, [*item[:2], item[2].copy(children=[text, *children[1:]]), *item[3:]]


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
