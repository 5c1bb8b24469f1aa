"""JSON mode: the system prompt of the Hermes 3 model card that asks for an answer matching a JSON Schema."""

import json

from hermes_cli.formats.json_schema import Schema


def schema_prompt(schema: Schema) -> str:
    """The trained system prompt with `schema` on one line inside `<schema>` tags."""
    text = json.dumps(schema, ensure_ascii=False)
    return (
        "You are a helpful assistant that answers in JSON. "
        f"Here's the json schema you must adhere to:\n<schema>\n{text}\n</schema>"
    )
