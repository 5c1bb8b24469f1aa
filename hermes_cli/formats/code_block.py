"""Fenced code blocks in an answer."""

import re

_CODE_BLOCK = re.compile(
    r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})[^\n`]*\n(?P<code>.*?)(?:(?P<end>^ {0,3}(?P=fence)[`~]*[ \t\r]*$)|\Z)",
    re.MULTILINE | re.DOTALL,
)


def is_open(answer: str) -> bool:
    """Whether the first fenced code block has no end."""
    found = _CODE_BLOCK.search(answer)
    return found is not None and found["end"] is None


def code_blocks(answer: str) -> list[str]:
    """The insides of the fenced code blocks, without the last newline and the fence's indent."""
    blocks = []
    for found in _CODE_BLOCK.finditer(answer):
        code = re.sub(rf"^ {{0,{len(found['indent'])}}}", "", found["code"], flags=re.MULTILINE)
        blocks.append(code.removesuffix("\n").removesuffix("\r"))
    return blocks
