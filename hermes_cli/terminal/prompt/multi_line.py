"""Messages of several lines: a backslash at the end of a line, and blocks between three double quotes."""

import re

QUOTES = '"""'
_BLOCK = re.compile(rf"\s*(/\S+[^\S\n]+)?{QUOTES}")


def goes_on(text: str) -> bool:
    """Whether a line break after `text` belongs to the message: a block is open, or the last line ends in a backslash.

    A block begins the message, or follows the name of a slash command.
    """
    return text.endswith("\\") or in_block(text)


def in_block(text: str) -> bool:
    """Whether a block between quotes is open at the end of `text`."""
    return bool(_BLOCK.match(text)) and text.count(QUOTES) % 2 == 1


def with_line_break(text: str) -> str:
    """`text` without its last backslash, and a new line."""
    return text.removesuffix("\\") + "\n"


def unquoted(text: str) -> str:
    """The message that was typed as `text`: what is between the quotes where it is one block."""
    block, whole = _BLOCK.match(text), text.rstrip()
    if not block or text.count(QUOTES) != 2 or not whole.endswith(QUOTES):
        return text
    inside = whole[block.end() : -len(QUOTES)]
    return (block[1] or "") + inside.removeprefix("\n").removesuffix("\n")
