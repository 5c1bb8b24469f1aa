"""JSON mode: the system prompt of the Hermes 3 model card that asks for JSON, and the JSON in an answer."""

import json
import math
from typing import Any

from hermes_cli.formats.code_block import code_blocks
from hermes_cli.formats.json.schema import Schema


def schema_prompt(schema: Schema) -> str:
    """The trained system prompt with `schema` on one line inside `<schema>` tags."""
    text = json.dumps(schema, ensure_ascii=False)
    return (
        "You are a helpful assistant that answers in JSON. "
        f"Here's the json schema you must adhere to:\n<schema>\n{text}\n</schema>"
    )


def json_part(answer: str) -> str:
    """The JSON in an answer: all of it, or its first code block, as models write it without a constraint."""
    if is_json(answer):
        return answer
    blocks = code_blocks(answer)
    return blocks[0] if blocks and is_json(blocks[0]) else answer


def parsed(text: str) -> Any:
    """The value of a JSON text; NaN and Infinity are errors. Raises ValueError, RecursionError."""
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def is_json(text: str) -> bool:
    """Whether `text` is one JSON value and nothing else."""
    try:
        parsed(text)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """Python reads 1e999 as infinity, which it could not write as JSON again."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is larger than any number")
    return value
