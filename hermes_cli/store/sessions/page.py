"""A session as one HTML page that loads nothing and runs nothing; only answers are rendered, as Markdown."""

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from hermes_cli import paths
from hermes_cli.store.sessions.formula import mathml

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

# Characters that HTML and XML do not allow; tab and line feed stay.
NOT_IN_PAGES = {code: 0xFFFD for code in (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0))} | {
    code: 0xFFFD for code in range(0xD800, 0xE000)
}

# Between single dollar signs: prices and names of variables are not formulas.
_FORMULA = re.compile(r"[\\^_={}+*/<>-]\S|^[A-Za-z]\d?$")


def page(title: str, about: str, messages: Iterable[tuple[str, str, str]]) -> str:
    """The page. Each message is its role, the name to show and the text."""
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        paths.SESSION_PAGE.read_text(encoding="utf-8")
    )
    # markdown-it escapes by itself, Jinja escapes the rest. Only the model writes Markdown: in what a user pastes or a
    # tool returns, a line that begins with # is not a heading.
    rendered = [
        (role, name, Markup(_markdown().render(_clean(text))) if role == "assistant" else _clean(text))
        for role, name, text in messages
    ]
    return template.render(title=_clean(title), about=_clean(about), messages=rendered)


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": True})
    parser.enable(["table", "strikethrough", "linkify"])
    if parser.linkify is not None:
        parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})  # README.md is not a host in Moldova
    _add_plugins(parser)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("link_open", _link)
    return parser


def _add_plugins(parser: "MarkdownIt") -> None:
    """Task lists, and formulas between `\\(` and `\\)`, `\\[` and `\\]`, one or two dollar signs."""
    from mdit_py_plugins.dollarmath import dollarmath_plugin
    from mdit_py_plugins.tasklists import tasklists_plugin
    from mdit_py_plugins.texmath import texmath_plugin

    parser.use(tasklists_plugin)
    parser.use(texmath_plugin, delimiters="brackets")
    parser.use(dollarmath_plugin, allow_labels=False, allow_space=False, allow_digits=False, double_inline=True)
    parser.inline.ruler.before("escape", "formula", _bracketed_formula)
    for inline in ("math_inline", "math_single"):
        parser.add_render_rule(inline, _inline_formula)
    for block in ("math_block", "math_block_eqno", "math_inline_double"):
        parser.add_render_rule(block, _block_formula)


def _bracketed_formula(state: Any, silent: bool) -> bool:
    """A rule for `\\[` to `\\]` inside a paragraph, where the plugin does not look."""
    end = state.src.find("\\]", state.pos + 2) if state.src.startswith("\\[", state.pos) else -1
    if end < 0:
        return False
    if not silent:
        token = state.push("math_inline_double", "math", 0)
        token.content = state.src[state.pos + 2 : end]
    state.pos = end + 2
    return True


def _inline_formula(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    from html import escape

    token = tokens[index]
    if token.markup == "$" and not _FORMULA.search(token.content):
        return escape(f"${token.content}$")
    return mathml(token.content, block=False)


def _block_formula(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    return mathml(tokens[index].content, block=True)


def _image(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """The description and the address of a picture as text: the picture would have to be loaded."""
    from html import escape

    token = tokens[index]
    return escape(f"[{token.content}]({token.attrs.get('src', '')})")


def _link(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer")
    return str(renderer.renderToken(tokens, index, options, env))


def _clean(text: str) -> str:
    return text.translate(NOT_IN_PAGES)
