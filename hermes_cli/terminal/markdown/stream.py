"""Splits Markdown that is still arriving into pieces that no later text can change.

Only complete lines are judged, and parsing always starts again where a block, a list item or a line of code starts,
so the pieces are those that one parse of the whole text gives (`pieces_of`), however the text was cut on its way.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_block import table
from markdown_it.rules_core import StateCore, text_join
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

LISTS = ("bullet_list_open", "ordered_list_open")
_CLOSED_BY_BLANK = ("paragraph_open", "heading_open", "blockquote_open", "table_open")
# An unfinished last line of these could still become a rule, a heading, an item or a fence; it would only flicker.
_UNDECIDED = re.compile(r"[ \t]*(?:[-=*_+#>`~|: \t]+|\d{1,9}[.)]?)")

_FORMULA = re.compile(r"\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
_LONGEST_PARAGRAPH = 20_000  # characters; some nonsense takes markdown-it quadratic time


@dataclass(frozen=True, slots=True)
class Block:
    """A block at the top level that is neither a list nor fenced code."""

    tokens: Sequence[Token]


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list at the top level; `label` is its number with the delimiter, or empty."""

    tokens: Sequence[Token]
    label: str
    first: bool


@dataclass(frozen=True, slots=True)
class Code:
    """Lines of fenced code at the top level; `first` if they begin the block, `last` if they end it."""

    language: str
    lines: tuple[str, ...]
    first: bool
    last: bool = False


Piece = Block | Item | Code


@dataclass(frozen=True, slots=True)
class _Fence:
    """An open code fence."""

    language: str
    closing: re.Pattern[str]
    indent: int


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables; without HTML, which would swallow `<int>`, and references, which change blocks before."""
    rules = MarkdownIt("commonmark", {"html": False}).enable("strikethrough")
    # As in GFM, and unlike the order it has by itself: a heading or a fence stays one whatever the next line is.
    rules.block.ruler.after("heading", "table_after_heading", table, {"alt": ["paragraph", "reference"]})
    rules.inline.ruler.before("escape", "formula", _formula)
    return rules.disable(["reference", "html_block", "html_inline"])


def pieces_of(text: str) -> list[Piece]:
    """The pieces of a whole text, by one parse."""
    return list(_pieces(_parsed(text), None))


class MarkdownStream:
    """Takes text piece by piece and returns each block once, as soon as it is final."""

    def __init__(self) -> None:
        self._source = ""
        self._judged = 0
        self._fence: _Fence | None = None
        self._next_item: int | None = None  # the number in a list that was begun

    def feed(self, text: str) -> list[Piece]:
        """The pieces that became final with `text`."""
        self._source += text
        pieces: list[Piece] = []
        while self._take_code(pieces) if self._fence else self._take_blocks(pieces):
            pass
        return pieces

    def finish(self) -> list[Piece]:
        """The blocks that were not final yet."""
        source, self._source = self._source, ""
        if self._fence is None:
            return list(_pieces(_parsed(source), self._next_item))
        last = [] if self._fence.closing.fullmatch(source) else [source]
        return [self._code(last, last=True)]

    def tail(self) -> list[Piece]:
        """The blocks that are not final, without an undecided last line."""
        start = self._source.rfind("\n") + 1
        undecided = _UNDECIDED.fullmatch(self._source, start)
        if self._fence is not None:
            return [] if undecided and "`~".find(self._source.strip()[:1]) >= 0 else [self._code([self._source])]
        return list(_pieces(_parsed(self._source[:start] if undecided else self._source), self._next_item))

    def _take_code(self, pieces: list[Piece]) -> bool:
        """Pass the complete lines of the open fence on; whether it was closed."""
        assert self._fence
        *lines, rest = self._source.split("\n")
        closed = next((number for number, line in enumerate(lines) if self._fence.closing.fullmatch(line)), None)
        if lines[:closed] or closed is not None:
            pieces.append(self._code(lines[:closed], last=closed is not None))
        if closed is None:
            self._source = rest
            return False
        self._source = "\n".join([*lines[closed + 1 :], rest])
        self._fence, self._judged = None, 0
        return True

    def _code(self, lines: Iterable[str], *, last: bool = False) -> Code:
        assert self._fence
        return Code(self._fence.language, tuple(_dedented(line, self._fence.indent) for line in lines), False, last)

    def _take_blocks(self, pieces: list[Piece]) -> bool:
        """Pass the final blocks on; whether a fence was opened behind them."""
        complete = self._source.rfind("\n") + 1
        if complete == self._judged:
            return False
        lines = self._source[:complete].split("\n")[:-1]
        groups = list(blocks(_block_tokens(self._source[:complete])))
        last = groups[-1] if groups else []
        if not groups or _is_final(last, lines):
            self._commit(groups, pieces, lines, len(lines))
            return False
        self._commit(groups[:-1], pieces, lines, _line(last[0]))
        if last[0].type == "fence":
            self._open_fence(last[0], lines[_line(last[0])], pieces)
            return True
        if last[0].type in LISTS:
            self._take_items(last, pieces)
        return False

    def _commit(self, groups: list[list[Token]], pieces: list[Piece], lines: list[str], upto: int) -> None:
        """Pass `groups` on and forget the first `upto` lines."""
        if groups:
            pieces += _pieces(_with_inlines([token for group in groups for token in group]), self._next_item)
            self._next_item = None
        self._drop(lines[:upto])

    def _drop(self, lines: list[str]) -> None:
        self._source = self._source[sum(map(len, lines)) + len(lines) :]
        self._judged = self._source.rfind("\n") + 1

    def _open_fence(self, fence: Token, opener: str, pieces: list[Piece]) -> None:
        closing = re.compile(rf" {{0,3}}{re.escape(fence.markup[0])}{{{len(fence.markup)},}}[ \t]*")
        self._fence = _Fence(code_language(fence), closing, len(opener) - len(opener.lstrip(" ")))
        self._drop([opener])
        pieces.append(Code(self._fence.language, (), True))

    def _take_items(self, group: list[Token], pieces: list[Piece]) -> None:
        """Pass the items of an open list on that another item follows."""
        items = list(blocks(group[1:-1], 1))
        if len(items) < 2:
            return
        first = _line(group[0])
        lines = self._source.split("\n")[: _line(items[-1][0]) - first]
        final = [group[0], *(token for item in items[:-1] for token in item), group[-1]]
        pieces += _pieces(_with_inlines(final), self._next_item)
        start = _start(group[0]) if self._next_item is None else self._next_item
        self._next_item = start + len(items) - 1
        self._drop(lines)


def _block_tokens(source: str) -> list[Token]:
    tokens: list[Token] = []
    markdown = parser()
    markdown.block.parse(source, markdown, {}, tokens)
    return tokens


def _parsed(source: str) -> list[Token]:
    return _with_inlines(_block_tokens(source))


def _with_inlines(tokens: list[Token]) -> list[Token]:
    """Parse what stands within the lines of blocks; text that is longer than any sensible paragraph stays as it is."""
    for token in tokens:
        if token.type == "inline":
            token.children = []
            if len(token.content) > _LONGEST_PARAGRAPH:
                token.children = [Token("verbatim", "", 0, content=token.content)]
            else:
                parser().inline.parse(token.content, parser(), {}, token.children)
    text_join(StateCore("", parser(), {}, tokens))
    return tokens


def _formula(state: StateInline, silent: bool) -> bool:
    r"""The parser's rule for `\(...\)` and `\[...\]`, which models write around TeX: all of it stays as it is."""
    found = _FORMULA.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        state.push("verbatim", "", 0).content = found.group()
    state.pos = found.end()
    return True


def blocks(tokens: Iterable[Token], level: int = 0) -> Iterator[list[Token]]:
    """The tokens of each block at this level, one block after the other."""
    group: list[Token] = []
    for token in tokens:
        group.append(token)
        if token.level == level and token.nesting <= 0:
            yield group
            group = []


def _pieces(tokens: Iterable[Token], next_item: int | None) -> Iterator[Piece]:
    """The pieces of parsed blocks; the first block continues an open list if `next_item` has a number."""
    for group in blocks(tokens):
        opening = group[0]
        if opening.type in LISTS:
            for count, (label, item) in enumerate(item_labels(group, next_item)):
                yield Item(item, label, first=next_item is None and count == 0)
        elif opening.type == "fence":
            yield Code(code_language(opening), code_lines(opening), True, True)
        else:
            yield Block(group)
        next_item = None


def item_labels(block: Sequence[Token], start: int | None = None) -> Iterator[tuple[str, list[Token]]]:
    """The items of a list, each with its number and delimiter or an empty label; the first number may be given."""
    opening = block[0]
    number = _start(opening) if start is None else start
    for count, item in enumerate(blocks(block[1:-1], opening.level + 1)):
        yield f"{number + count}{opening.markup}" if opening.type == "ordered_list_open" else "", item


def code_lines(code: Token) -> tuple[str, ...]:
    """The lines of a code block."""
    return tuple(code.content.removesuffix("\n").split("\n")) if code.content else ()


def code_language(fence: Token) -> str:
    """The language a fence names, or nothing."""
    return fence.info.strip().split(" ")[0]


def _start(opening: Token) -> int:
    return int(opening.attrs.get("start", 1))


def _line(token: Token) -> int:
    assert token.map
    return token.map[0]


def _is_final(group: list[Token], lines: list[str]) -> bool:
    """Whether the last block stays as it is, whatever lines follow."""
    opening = group[0]
    assert opening.map
    start, end = opening.map
    if opening.type == "fence":
        closing = rf" {{0,3}}{re.escape(opening.markup[0])}{{{len(opening.markup)},}}[ \t]*"
        return end - 1 > start and re.fullmatch(closing, lines[end - 1]) is not None
    atx_heading = opening.type == "heading_open" and opening.markup.startswith("#")
    return opening.type == "hr" or atx_heading or (opening.type in _CLOSED_BY_BLANK and end < len(lines))


def _dedented(line: str, indent: int) -> str:
    """`line` without `indent` columns of white space; a tab that reaches beyond leaves its rest as spaces."""
    column = 0
    for place, character in enumerate(line):
        if column >= indent or character not in " \t":
            return " " * (column - indent) + line[place:]
        column += 4 - column % 4 if character == "\t" else 1
    return " " * (column - indent)
