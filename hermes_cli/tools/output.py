"""What a tool gave back, cut to a length that a model can read."""

import json
from typing import Any

LIMIT_CHARACTERS = 20_000


def limited(value: Any, limit: int = LIMIT_CHARACTERS) -> Any:
    """`value`, or the beginning of it as text with a notice where it is longer than `limit` characters as JSON.

    What JSON has no number for becomes a text such as "NaN". Raises ValueError or RecursionError for what JSON cannot
    hold.
    """
    if isinstance(value, str):
        return value if len(value) <= limit else cut(value, limit)
    pieces: list[str] = []
    size = 0
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            return cut("".join(pieces), limit)
    return json.loads("".join(pieces), parse_constant=str)


def cut(text: str, limit: int = LIMIT_CHARACTERS) -> str:
    """The beginning of `text`, and a line that tells the model so."""
    return f"{text[:limit]}\n[cut here: the output is longer than {limit:,} characters]"
