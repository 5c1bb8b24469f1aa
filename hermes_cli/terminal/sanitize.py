"""Makes untrusted text safe for a terminal, character by character, so that text can be cut anywhere."""

from functools import cache

_REMOVED = (
    *(0x00AD, 0x061C, 0x2060, 0xFEFF, 0x115F, 0x1160, 0x3164, 0xFFA0),  # soft hyphen, joiners, BOM, Hangul fillers
    *range(0x202A, 0x202F),  # bidirectional embeddings and overrides
    *range(0x2066, 0x206A),  # bidirectional isolates
    *range(0xE0000, 0xE0080),  # tags
    *range(0xE0100, 0xE01F0),  # variation selector supplement
)


@cache
def _table() -> dict[int, str | None]:
    table: dict[int, str | None] = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
    table |= {0x0D: None, 0x7F: "\u2421", 0x2028: "\n", 0x2029: "\n"}
    table |= dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), "\ufffd")
    return table | dict.fromkeys(_REMOVED)


def for_terminal(text: str) -> str:
    """`text` with control characters made visible and invisible or reordering ones removed; newlines and tabs stay."""
    return text.translate(_table())


def one_line(text: str) -> str:
    """`text` for a message of one line."""
    return " ".join(for_terminal(text).split())
