"""LaTeX formulas as MathML, which browsers show without a script; only known elements and attributes come through."""

import re
from html import escape, unescape
from typing import Any

_ELEMENTS = re.compile(
    "math|mrow|mi|mn|mo|mtext|mspace|ms|mfrac|msqrt|mroot|mstyle|merror|mpadded|mphantom|mfenced|menclose|msub|msup"
    "|msubsup|munder|mover|munderover|mmultiscripts|mprescripts|none|mtable|mtr|mtd|mlabeledtr"
)
_ATTRIBUTES = re.compile(
    "display|displaystyle|scriptlevel|mathvariant|mathcolor|stretchy|fence|form|separator|largeop|movablelimits"
    "|symmetric|accent|accentunder|minsize|maxsize|width|height|depth|lspace|rspace|linethickness|notation|columnalign"
    "|rowspacing|columnspacing|columnlines|rowlines|frame|open|close"
)
_VALUE = re.compile(r"[\w #%.+()\[\]{}|-]{0,60}")
_LONGEST = 5_000  # characters; longer text is not a formula


def mathml(source: str, *, block: bool) -> str:
    """The formula as HTML; its source as code where it cannot be read."""
    try:
        return _element(_converted(source, block))
    except (ValueError, RecursionError):
        return f"<code>{escape(source)}</code>"


def _converted(source: str, block: bool) -> Any:
    """The root of the formula's tree. Raises ValueError."""
    from latex2mathml.converter import convert_to_element

    if len(source) > _LONGEST:
        raise ValueError("too long")
    try:
        return convert_to_element(source, display="block" if block else "inline")
    except Exception as error:  # its errors have no common class, and some are IndexError and KeyError
        raise ValueError(source) from error


def _element(element: Any) -> str:
    """An element as text. Raises ValueError for one that is not MathML."""
    tag = str(element.tag)
    if not _ELEMENTS.fullmatch(tag):
        raise ValueError(tag)
    attributes = "".join(
        f' {name}="{escape(value)}"'
        for name, value in element.attrib.items()
        if _ATTRIBUTES.fullmatch(name) and _VALUE.fullmatch(value)
    )
    # The converter writes operators as character references, which it expects to be decoded at the end.
    inside = escape(unescape(element.text or "")) + "".join(
        _element(child) + escape(unescape(child.tail or "")) for child in element
    )
    return f"<{tag}{attributes}>{inside}</{tag}>"
