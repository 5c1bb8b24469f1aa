"""Horizontal bars as SVG, readable on light and on dark pages."""

from collections.abc import Mapping
from html import escape

_BAR, _GAP, _LABEL, _WIDTH, _HEAD = 20, 8, 240, 420, 36
_COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44")
_STYLE = "text{font:13px sans-serif;fill:#222}@media(prefers-color-scheme:dark){text{fill:#ddd}}"


def bars(title: str, unit: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """One group of bars for each name; bars with the same label have the same colour in every group."""
    labels = list(dict.fromkeys(label for group in groups.values() for label in group))
    parts, top = [_text(0, 18, f"{title} ({unit})", "bold")], _HEAD
    for name, group in groups.items():
        parts.append(_text(0, top + 14, name, "bold"))
        top += _BAR + _GAP // 2
        longest = max(group.values()) or 1.0
        for label, value in group.items():
            width = _WIDTH * value / longest
            color = _COLORS[labels.index(label) % len(_COLORS)]
            parts.append(_text(10, top + 15, label))
            parts.append(f'<rect x="{_LABEL}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{color}"/>')
            parts.append(_text(_LABEL + round(width) + 6, top + 15, f"{value:,.4g}"))
            top += _BAR + _GAP // 2
        top += _GAP
    size = f'width="{_LABEL + _WIDTH + 80}" height="{top}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"


def _text(x: int, y: int, text: str, weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" font-weight="{weight}">{escape(text)}</text>'
