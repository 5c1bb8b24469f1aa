"""Inline Markdown as styled text: emphasis, code, links."""

from collections.abc import Iterable
from urllib.parse import unquote

from markdown_it.token import Token
from rich.style import Style
from rich.text import Text

from hermes_cli.terminal.sanitize import for_terminal

BOLD = Style(bold=True)
DIM = Style(dim=True)
_NO_STYLE = Style()
_CODE = Style(color="cyan", bold=True)
_STYLES = {
    "strong_open": BOLD,
    "em_open": Style(italic=True),
    "s_open": Style(strike=True),
    "link_open": Style(underline=True),
}


def inline_text(tokens: Iterable[Token], style: Style | None = None) -> Text:
    """The text of inline tokens; a new line in the source is one here, as models write lists of lines and verses.

    What entities spell out is made harmless here: they pass the check at the entry.
    """
    text, styles = Text(), [style or _NO_STYLE]
    link, link_start = "", 0
    for token in tokens:
        match token.type:
            case "text":
                text.append(_clean(token.content), styles[-1])
            case "code_inline":
                text.append(_clean(token.content), styles[-1] + _CODE)
            case "verbatim":
                text.append("\n".join(map(_clean, token.content.split("\n"))), styles[-1])
            case "softbreak" | "hardbreak":
                text.append("\n")
            case "image":
                label = _clean(token.content) or "image"
                text.append(label, styles[-1])
                _append_address(text, str(token.attrs.get("src", "")), label)
            case _ if token.nesting > 0:
                styles.append(styles[-1] + _STYLES[token.type])
                if token.type == "link_open":
                    link, link_start = str(token.attrs.get("href", "")), len(text)
            case _ if token.nesting < 0:
                styles.pop()
                if token.type == "link_close":
                    _append_address(text, link, text.plain[link_start:])
    return text


def _append_address(text: Text, address: str, label: str) -> None:
    """Show where a link leads, unless its label says so."""
    if address and label not in (address, unquote(address), address.removeprefix("mailto:")):
        text.append(f" ({_clean(address)})", DIM)


def _clean(text: str) -> str:
    return for_terminal(text).replace("\n", " ").replace("\t", " ")
