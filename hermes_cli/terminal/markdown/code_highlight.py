"""Highlight code line by line: the lexer's state is kept between lines, the text is never changed."""

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from copy import copy
from functools import lru_cache
from typing import Any, Protocol

from pygments.lexer import Lexer, RegexLexer
from pygments.lexers import get_lexer_by_name
from pygments.lexers.special import TextLexer
from pygments.token import Comment, Generic, Keyword, Literal, Name, String, Token, _TokenType
from pygments.util import ClassNotFound
from rich.style import Style
from rich.text import Text

from hermes_cli.terminal.answer.appearance import TERMINAL_THEME, appearance

# The terminal's own colours, and of them those that can be read on a dark and on a light ground.
PLAIN_CODE = Style(color="cyan")
_STYLES = {
    Comment: Style(dim=True, italic=True),
    Comment.Preproc: Style(color="magenta"),
    Keyword: Style(color="magenta"),
    Keyword.Constant: Style(color="cyan"),
    Keyword.Type: Style(color="cyan"),
    Literal.Number: Style(color="cyan"),
    String: Style(color="green"),
    Name.Function: Style(color="bright_blue"),
    Name.Class: Style(color="bright_blue", bold=True),
    Name.Decorator: Style(color="magenta"),
    Name.Builtin: Style(color="cyan"),
    Name.Tag: Style(color="magenta"),
    Name.Attribute: Style(color="bright_blue"),
    Generic.Prompt: Style(dim=True),
    Generic.Output: Style(),
    Generic.Heading: Style(bold=True),
    Generic.Subheading: Style(color="magenta"),
    Generic.Inserted: Style(color="green"),
    Generic.Deleted: Style(color="red"),
    Token: Style(),
}
_LONGEST_LINE = 2000  # characters; some of Pygments' patterns take far more than linear time
_CONTEXT_LINES = 50
_LINE_BY_LINE = ("JSON", "JSON-LD", "Diff")  # lexers of their own making for which every line stands for itself
_COMMENTS = {"/*": "*/", "<!--": "-->"}
_MOST_IDLE_STEPS = 20

Part = tuple[Any, str]


class CodeHighlighter:
    """The colours of one code block. Lines are to be given in order, without their ends."""

    def __init__(self, language: str) -> None:
        lexer = _lexer(language)
        self._lines: _Lines | None = None
        if isinstance(lexer, RegexLexer) and type(lexer).get_tokens_unprocessed is RegexLexer.get_tokens_unprocessed:
            self._lines = _ResumedLines(lexer)
        elif lexer is not None:
            self._lines = _RepeatedLines(lexer)

    def line(self, line: str) -> Text:
        """The next line in colours."""
        if self._lines is None:
            return Text(line, PLAIN_CODE)
        if len(line) > _LONGEST_LINE:
            return Text(line)
        text = Text()
        # A lexer that fails or loses text costs the colours of this line, nothing else.
        with suppress(Exception):
            for kind, part in self._lines.next(line + "\n"):
                text.append(part, _style(kind, appearance().theme))
            text.right_crop(1)
        return text if text.plain == line else Text(line)

    def fork(self) -> "CodeHighlighter":
        """A separate copy at this state, to try a line that is not complete."""
        twin = copy(self)
        twin._lines = self._lines and self._lines.fork()
        return twin


class _Lines(Protocol):
    """Cuts a line with its end into parts of one kind each, knowing the lines before."""

    def next(self, source: str) -> Iterator[Part]: ...

    def fork(self) -> "_Lines": ...


class _ResumedLines:
    """A lexer of rules and a stack of states, which keeps the stack from line to line.

    A comment over several lines is mostly a single rule, which needs its end to match: it is followed here.
    """

    def __init__(self, lexer: Any) -> None:
        self._lexer = lexer
        self._stack = ["root"]
        self._comment_end = ""

    def fork(self) -> "_ResumedLines":
        twin = copy(self)
        twin._stack = list(self._stack)
        return twin

    def next(self, source: str) -> Iterator[Part]:
        position = idle = 0
        while position < len(source):
            start = position
            position = yield from self._step(source, position)
            idle = idle + 1 if position == start else 0
            if idle > _MOST_IDLE_STEPS:
                yield Token, source[position]
                position, idle = position + 1, 0

    def _step(self, source: str, position: int) -> Generator[Part, None, int]:
        """Yield what is at `position` and return where it ends."""
        if not self._comment_end:
            self._comment_end = self._unfinished_comment(source, position)
        if self._comment_end:
            end = source.find(self._comment_end, position) + len(self._comment_end)
            if end < len(self._comment_end):
                end = len(source)
            else:
                self._comment_end = ""
            yield Comment.Multiline, source[position:end]
            return end
        for matches, action, change in self._rules():
            if found := matches(source, position):
                if type(action) is _TokenType:
                    yield action, found.group()
                elif action is not None:
                    yield from ((kind, part) for _, kind, part in action(self._lexer, found))
                self._enter(change)
                return int(found.end())
        if source[position] == "\n":
            self._stack = ["root"]
        yield Token, source[position]
        return position + 1

    def _rules(self) -> Sequence[tuple[Callable[[str, int], "re.Match[str] | None"], Any, Any]]:
        rules: Sequence[tuple[Callable[[str, int], re.Match[str] | None], Any, Any]] = self._lexer._tokens[
            self._stack[-1]
        ]
        return rules

    def _enter(self, change: object) -> None:
        """Change the state as a rule says: a number of states to leave, one to enter again, or several steps."""
        if isinstance(change, int):
            del self._stack[max(len(self._stack) + change, 1) :]
        elif change == "#push":
            self._stack.append(self._stack[-1])
        elif isinstance(change, tuple):
            for step in change:
                self._enter(-1 if step == "#pop" else step)
        elif isinstance(change, str):
            self._stack.append(change)

    def _unfinished_comment(self, source: str, position: int) -> str:
        """What ends the comment that begins here and does not end in this line; empty where none begins."""
        for opening, end in _COMMENTS.items():
            if source.startswith(opening, position) and source.find(end, position + len(opening)) < 0:
                closed = f"{source[:-1]}{end}\n"
                actions = (action for matches, action, _ in self._rules() if matches(closed, position))
                action: Any = next(actions, None)
                return end if type(action) is _TokenType and action[:1] == Comment[:1] else ""
        return ""


class _RepeatedLines:
    """A lexer that cannot be resumed: it reads some lines before again with every line."""

    def __init__(self, lexer: Lexer) -> None:
        self._lexer = lexer
        self._context: tuple[str, ...] = ()
        self._keep = 0 if lexer.name in _LINE_BY_LINE else _CONTEXT_LINES

    def fork(self) -> "_RepeatedLines":
        return copy(self)

    def next(self, source: str) -> Iterator[Part]:
        before = "".join(self._context)
        self._context = (*self._context, source)[-self._keep :] if self._keep else ()
        for start, kind, part in self._lexer.get_tokens_unprocessed(before + source):
            if start + len(part) > len(before):
                yield kind, part[max(len(before) - start, 0) :]


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    try:
        lexer = get_lexer_by_name(language.strip("{}.").lower())
    except ClassNotFound:
        return None
    return None if isinstance(lexer, TextLexer) else lexer


@lru_cache(maxsize=512)
def _style(kind: Any, theme: str) -> Style:
    """The style of a kind of token in a theme; of the terminal's own, that of the nearest kind above it."""
    if theme != TERMINAL_THEME:
        from pygments.styles import get_style_by_name

        found = get_style_by_name(theme).style_for_token(kind)
        color = f"#{found['color']}" if found["color"] else None
        return Style(color=color, bold=found["bold"], italic=found["italic"], underline=found["underline"])
    while kind not in _STYLES:
        kind = kind.parent
    return _STYLES[kind]
