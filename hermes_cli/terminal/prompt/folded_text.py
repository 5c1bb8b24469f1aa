"""Long text in the line being edited: one character stands for it, shown as `[pasted 47 lines, 3.2 kB]`.

The characters are from the last plane for private use. Text that holds one of them is folded itself, however short it
is, so no text can be taken for a fold; what merely looks like the label is never looked at.
"""

import re

from hermes_cli.terminal.sanitize import for_terminal

_FIRST, _LAST = 0x100000, 0x10FFFD
_STAND_IN = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
_PASTED_LINES, _PASTED_CHARACTERS = 5, 1000
_SHOWN_CHARACTERS = 5_000


class FoldedTexts:
    """The folded texts of a chat, saved until it ends, because its history can restore a line."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def pasted(self, text: str) -> str:
        """`text` as it goes into the line: folded if it has more than 5 lines or 1,000 characters."""
        clean = harmless(text)
        lines = clean.rstrip("\n").count("\n") + 1
        return self._fold(clean, lines > _PASTED_LINES or len(clean) > _PASTED_CHARACTERS)

    def shown(self, text: str) -> str:
        """`text` to be edited in full: folded only where it is too long to be redrawn with every key."""
        clean = harmless(text)
        return self._fold(clean, len(clean) > _SHOWN_CHARACTERS)

    def unfolded(self, line: str) -> str:
        """`line` with its folded texts inserted."""
        return _STAND_IN.sub(lambda found: self._text(found[0]) or found[0], line)

    def label(self, character: str) -> str | None:
        """The label shown for `character`; None if it is not folded text."""
        text = self._text(character)
        if text is None:
            return None
        lines, size = text.rstrip("\n").count("\n") + 1, len(text.encode("utf-8", "replace"))
        return f"[pasted {lines:,} line{'s' * (lines != 1)}, {_size(size)}]"

    def _fold(self, text: str, long: bool) -> str:
        if not (long or has_fold(text)) or len(self._texts) > _LAST - _FIRST:
            return text
        self._texts.append(text)
        return chr(_FIRST + len(self._texts) - 1)

    def _text(self, character: str) -> str | None:
        place = ord(character) - _FIRST
        return self._texts[place] if 0 <= place < len(self._texts) else None


def has_fold(line: str) -> bool:
    """Whether a character in `line` stands, or could stand, for folded text."""
    return bool(_STAND_IN.search(line))


def harmless(text: str) -> str:
    """`text` as it is shown and sent: line ends are newlines, control characters visible, reordering ones gone."""
    return for_terminal(text.replace("\r\n", "\n").replace("\r", "\n"))


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 999_950 else f"{count / 1_000_000:.1f} MB"
