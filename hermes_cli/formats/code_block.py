"""Fenced code blocks in an answer."""

import re

_CODE_BLOCK = re.compile(
    r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})[^\n`]*\n(?P<code>.*?)(?:^ {0,3}(?P=fence)[`~]*[ \t\r]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)


def code_blocks(answer: str) -> list[str]:
    """The insides of the fenced code blocks, without the last newline and the fence's indent."""
    blocks = []
    for found in _CODE_BLOCK.finditer(answer):
        code = re.sub(rf"^ {{0,{len(found['indent'])}}}", "", found["code"], flags=re.MULTILINE)
        blocks.append(code.removesuffix("\n").removesuffix("\r"))
    return blocks
