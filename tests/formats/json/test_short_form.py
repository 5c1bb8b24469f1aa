"""Schemas as people type them: JSON, and the short form."""

from typing import Any

import pytest

from hermes_cli.errors import UsageError
from hermes_cli.formats.json.short_form import schema_from_text

TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("text", "properties", "required"),
    [
        ("name", {"name": TEXT}, ["name"]),
        (
            "name, age int, tags[]",
            {"name": TEXT, "age": {"type": "integer"}, "tags": {"type": "array", "items": TEXT}},
            ["name", "age", "tags"],
        ),
        (
            "name: what it is, age int: in years",
            {"name": {"description": "what it is", **TEXT}, "age": {"description": "in years", "type": "integer"}},
            ["name", "age"],
        ),
        (
            "nick?, score float?, ok bool",
            {"nick": TEXT, "score": {"type": "number"}, "ok": {"type": "boolean"}},
            ["ok"],
        ),
        (
            "mood happy|sad, moods good | bad [], sizes int[], counts[] int",
            {
                "mood": {"type": "string", "enum": ["happy", "sad"]},
                "moods": {"type": "array", "items": {"type": "string", "enum": ["good", "bad"]}},
                "sizes": {"type": "array", "items": {"type": "integer"}},
                "counts": {"type": "array", "items": {"type": "integer"}},
            },
            ["mood", "moods", "sizes", "counts"],
        ),
        (
            "\n name str: first, then last: both\n\n age int\n",
            {"name": {"description": "first, then last: both", **TEXT}, "age": {"type": "integer"}},
            ["name", "age"],
        ),
        ("na\u00efve_1, ", {"na\u00efve_1": TEXT}, ["na\u00efve_1"]),
    ],
)
def test_the_short_form(text: str, properties: dict[str, Any], required: list[str]) -> None:
    expected = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    assert schema_from_text(text) == expected


@pytest.mark.parametrize(
    ("text", "schema"), [(' {"type": "string"}\n', TEXT), ("true", True), (" false ", False), ("{}", {})]
)
def test_json(text: str, schema: Any) -> None:
    assert schema_from_text(text) == schema


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "person", "strict": true, "schema": {"type": "string"}}',
        '{"name": "person", "description": "A person.", "parameters": {"type": "string"}}',
        '{"name": "person", "input_schema": {"type": "string"}}',
        '{"type": "function", "function": {"name": "person", "parameters": {"type": "string"}}}',
        '{"type": "function", "name": "person", "parameters": {"type": "string"}}',
        '{"type": "json_schema", "json_schema": {"name": "person", "schema": {"type": "string"}}}',
        '{"type": "json_schema", "name": "person", "schema": {"type": "string"}, "strict": true}',
    ],
)
def test_the_schema_is_taken_out_of_openai_s_wrappers(text: str) -> None:
    assert schema_from_text(text) == TEXT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the schema has no fields"),
        (" , ,", "the schema has no fields"),
        ("name, name int", "the schema has the field name twice"),
        ("2nd", "a field that cannot be read: 2nd"),
        ("a-b", "a field that cannot be read: a-b"),
        ("age itn", "unknown type itn"),
        ("mood a||b", "the choices in mood a||b are empty or repeated"),
        ("mood a|a", "the choices in mood a|a are empty or repeated"),
        (": x", "a field that cannot be read"),
        ('{"type": ', "the schema is not JSON: Expecting value (line 1, character 9)"),
        ('{"type": "objct"}', "the schema is not valid"),
        ('{"name": "Anna", "age": 31}', "the schema is JSON, but not a JSON Schema: it has name, age and no keyword"),
        ("[1]", "the schema is not a JSON Schema, but [1]"),
        ('"name"', "the schema is not a JSON Schema"),
        ('{"not":' * 5000 + "{}" + "}" * 5000, "nested too deeply"),
        ('{"a": ' + "1" * 5000 + "}", "the schema"),
        ("{" + " " * 2_000_000 + "}", "the schema is longer than 2,000,000 bytes"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        schema_from_text(text)
    assert message in caught.value.message
    assert caught.value.hint
