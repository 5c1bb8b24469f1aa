"""A session as one HTML page: nothing is loaded, nothing runs, and nothing that was said becomes markup of its own."""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from hermes_cli import paths

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

# XML and HTML have no place for these; tab and line feed stay.
NOT_IN_PAGES = {code: 0xFFFD for code in (*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0))} | {
    code: 0xFFFD for code in range(0xD800, 0xE000)
}


def page(title: str, about: str, messages: Iterable[tuple[str, str, str]]) -> str:
    """The page of messages, each its role, the name to show and the text; answers are read as Markdown."""
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        paths.SESSION_PAGE.read_text(encoding="utf-8")
    )
    # Markup: what markdown-it made is HTML already; Jinja escapes the rest. Only the model writes Markdown: in what a
    # user pastes or a tool gives, a line that begins with # is no heading.
    rendered = [
        (role, name, Markup(_markdown().render(_clean(text))) if role == "assistant" else _clean(text))
        for role, name, text in messages
    ]
    return template.render(title=_clean(title), about=_clean(about), messages=rendered)


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _image)
    parser.add_render_rule("link_open", _link)
    return parser


def _image(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """A picture would be loaded from elsewhere: its description and its address, as text."""
    from html import escape

    token = tokens[index]
    return escape(f"[{token.content}]({token.attrs.get('src', '')})")


def _link(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer")
    return str(renderer.renderToken(tokens, index, options, env))


def _clean(text: str) -> str:
    return text.translate(NOT_IN_PAGES)
