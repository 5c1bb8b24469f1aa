"""Checking JSON Schemas, and values against them, with errors that a model can act on."""

import json
from typing import Any

import pytest

from hermes_cli.errors import UsageError
from hermes_cli.formats.json.check import checked, faults
from hermes_cli.formats.json.schema import compact

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "mood": {"enum": ["good", "bad"]},
        "code": {"type": "string", "pattern": "^[A-Z]{2}$"},
        "home": {"anyOf": [{"type": "object", "required": ["city"]}, {"type": "null"}]},
        "id": {"type": ["integer", "string"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "born": {"type": "string", "format": "date"},
    },
    "required": ["name", "it's"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "report"),
    [
        (
            {"name": "", "it's": 1},
            ["unknown key it's; known keys: name, age, mood, code, home, id, tags, born", "name must have"],
        ),
        ({"name": "a"}, ["it's is missing"]),
        ({"nmae": "a", "it's": 1}, ["name is missing", "unknown key nmae; did you mean name?"]),
        ({"age": -1}, ["age must be at least 0, not -1"]),
        ({"age": 150}, ["age must be less than 150, not 150"]),
        ({"age": "5"}, ['age must be an integer, not "5"']),
        ({"mood": "ugly"}, ['mood must be one of "good", "bad", not "ugly"']),
        ({"code": "x"}, ['code "x" does not match ^[A-Z]{2}$']),
        ({"home": 3}, ["home must be an object or null, not 3"]),
        ({"home": {}}, ["home: city is missing or home must be null, not {}"]),
        ({"id": []}, ["id must be an integer or a string, not []"]),
        ({"tags": ["a", 3]}, ["tags[1] must be a string, not 3"]),
        ({"tags": ["a", "b", "c"]}, ["tags must have at most 2 entries, not 3"]),
        ({"born": "1815-13-10"}, ['born must be a valid date, not "1815-13-10"']),
        ([], ["must be an object, not []"]),
        ({"name": "x" * 1000, "it's": "y" * 1000}, ["unknown key it's"]),
    ],
)
def test_faults_say_where_what_and_what_would_be_right(value: Any, report: list[str]) -> None:
    found = faults(PERSON, value)
    for text in report:
        assert any(text in one for one in found), found
    assert len(found) <= 5


def test_matching_values_have_no_errors() -> None:
    assert faults({**PERSON, "required": ["name"]}, {"name": "a", "age": 3, "home": None, "id": "x", "tags": []}) == []
    assert faults(True, object()) == []
    assert faults(False, 1) == ["must be absent, not 1"]


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(a|aa)+$"},
        {"patternProperties": {"^(a|aa)+$": True}},
        {"patternProperties": {"^(a|aa)+$": True}, "additionalProperties": False},
    ],
)
def test_a_pattern_that_takes_for_ever_is_given_up(schema: dict[str, Any]) -> None:
    text = "a" * 60 + "b"
    (found,) = faults({"items": schema}, [text if "pattern" in schema else {text: 1}] * 1000)
    assert found.startswith("the pattern ^(a|aa)+$ takes too long on ")


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("^x{e}$", "x{e}", "abc"),
        ("^(?:cat){1<=e<=2}$", "cat{1<=e<=2}", "ca"),
        ("^(?:cat){2i+1d<=3}$", "cat{2iii1d<=3}", "bat"),
        ("^x{2}y{1,}z{1,2}$", "xxyyyz", "xyz"),
        (r"^\p{Lu}{2}\{$", "AB{", "Ab{"),
        ("^[{]{1,2}$", "{{", "{{{"),
        (r"^\\{s}$", r"\{s}", "ab"),
    ],
)
def test_braces_that_count_nothing_are_themselves(pattern: str, good: str, bad: str) -> None:
    assert faults({"pattern": pattern}, good) == []
    assert len(faults({"pattern": pattern}, bad)) == 1


def test_patterns_for_names_work_as_ever() -> None:
    schema = {
        "patternProperties": {"^x": {"type": "integer"}},
        "properties": {"a": True},
        "additionalProperties": False,
    }
    assert faults(schema, {"a": "1", "x1": 2}) == []
    assert faults(schema, {"x1": "2"}) == ['x1 must be an integer, not "2"']
    assert faults(schema, {"y": 1}) == ["unknown key y; known keys: a"]
    assert faults({"additionalProperties": {"type": "string"}}, {"y": 1}) == ["y must be a string, not 1"]


@pytest.mark.parametrize(
    "draft", [{}, {"$schema": "https://json-schema.org/draft/2020-12/schema"}, {"$schema": DRAFT_7}]
)
def test_dependencies_are_checked_in_every_draft(draft: dict[str, str]) -> None:
    schema = {**draft, "dependencies": {"a": ["b"], "c": {"properties": {"d": {"type": "integer"}}}}}
    assert faults(schema, {"a": 1, "b": 2, "c": 3, "d": 4}) == []
    assert len(faults(schema, {"a": 1})) == len(faults(schema, {"c": 1, "d": "x"})) == 1


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("regex", ["(?<n>a)\\k<n>", "(?i:a)(?=b)(?<!c)", "[(?P<x>]", r"\(?P", "a+?", r"\++"], ["(?P<n>a)", "(?i)a"]),
        ("regex", ["[+]+", r"[\\a]"], ["(?#x)a", "(?P<n>a)(?P=n)", "a++", "(?>a)", r"[\a]", r"a\Z"]),
        ("uri-template", ["a'b", "/{x}"], ["/{x"]),
        ("idn-hostname", ["a.א", "א.א", "0a.com", "實例.com"], ["0a.א", "xn--4dbrk0ce.0a"]),
        ("iri", ["http://ƒøø.ßår/?q=\U000f0000", "http://a/\U000e1000"], ["http://a/\U000f0000"]),
    ],
)
def test_formats_by_their_standards(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if faults({"format": name}, text)] == []
    assert [text for text in bad if not faults({"format": name}, text)] == []


def test_deep_values_and_large_numbers_do_not_break_the_check() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert faults({"items": {"$ref": "#"}}, deep) != []
    assert faults({"multipleOf": 0.01}, 10**400) != []


def test_a_reference_is_resolved_from_its_own_place() -> None:
    definitions = {"a": {"$id": "http://a", "$ref": "#/$defs/b"}, "b": {}}
    with pytest.raises(UsageError, match=r"refers to #/[$]defs/b, which is not in it"):
        checked({"$defs": definitions, "properties": {"x": {"$ref": "#/$defs/a"}}})


@pytest.mark.parametrize(
    "schema",
    [
        True,
        False,
        {},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {"$defs": {"a": {"$anchor": "here"}}, "$ref": "#here"},
        {"properties": {"$ref": {"type": "string"}}, "enum": [{"$ref": "http://a"}]},
        {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 3, "exclusiveMinimum": True},
        {"$schema": "http://unknown.example/schema", "type": "object"},
        {"items": {"$ref": "#/a"}, "a": {"items": {"$ref": "#/b"}}, "b": {"$ref": "#/a/items"}},
        {"pattern": r"^\p{L}+$"},
        {"allOf": [{"patternProperties": {"a": {}}}], "unevaluatedProperties": False},
        {"$id": "http://a.example/tree", "properties": {"child": {"$ref": "tree"}}},
        {"$defs": {"a": {"$id": "http://a.example/a"}}, "$ref": "http://a.example/a"},
        {
            "$id": "http://a.example/base",
            "$defs": {"a": {"$id": "sub/a", "$ref": "./b"}, "b": {"$id": "sub/b"}},
            "$ref": "sub/a",
        },
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
    ],
)
def test_schemas_that_can_be_used(schema: Any) -> None:
    assert checked(schema) is schema


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([], "the schema is not a JSON Schema, but []"),
        ("text", 'the schema is not a JSON Schema, but "text"'),
        ({"type": "objct"}, 'the schema is not valid: type must be one of "array", "boolean"'),
        ({"properties": {"a": 3}}, "the schema is not valid: properties.a must be an object or true or false, not 3"),
        ({"required": "a"}, 'the schema is not valid: required must be a list, not "a"'),
        ({"$schema": 3}, "the schema has an unknown $schema"),
        (
            {"$ref": "http://a.example/b"},
            "the schema refers to http://a.example/b, which is not in it; nothing is downloaded",
        ),
        ({"items": {"$ref": "other.json#/x"}}, "refers to other.json#/x, which is not in it; nothing is downloaded"),
        (
            {"items": {"$ref": "file:///etc/passwd"}},
            "refers to file:///etc/passwd, which is not in it; nothing is downloaded",
        ),
        ({"items": {"$ref": "#/$defs/x"}}, "refers to #/$defs/x, which is not in it"),
        ({"$ref": "#"}, "refers to itself endlessly"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "refers to itself endlessly"),
        ({"$id": 5}, "the schema is not valid: $id must be a string, not 5"),
        ({"items": {"$ref": "#/a"}, "a": {"items": {"$ref": "#/b"}}}, "refers to #/b, which is not in it"),
        ({"items": {"$ref": "#/a"}, "a": {"type": "objct"}}, "the schema is not valid: type must be one of"),
        ({"items": {"$ref": "#/a"}, "a": 5}, "the schema is not valid: must be an object or true or false, not 5"),
        ({"items": {"$ref": "#/a"}, "a": {"pattern": "("}}, "has the pattern (, which cannot be used"),
        ({"$schema": DRAFT_7, "dependencies": {"a": {"$ref": "#/b"}}}, "refers to #/b, which is not in it"),
        ({"$defs": {"a": {"$id": "http://a", "$ref": "#/$defs/b"}, "b": {}}, "$ref": "#/$defs/a"}, "not in it"),
        ({"pattern": "("}, "has the pattern (, which cannot be used"),
        ({"patternProperties": {"[": {}}}, "has the pattern [, which cannot be used"),
        ({"enum": list(range(200_000))}, "is longer than 1,000,000 characters"),
    ],
)
def test_schemas_that_are_refused(schema: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked(schema)
    assert message in caught.value.message


def test_compact_writes_references_out_and_leaves_titles_out() -> None:
    schema = {
        "title": "T",
        "$defs": {"A": {"title": "A", "type": "integer"}, "Unused": {}},
        "properties": {"title": {"title": "Title", "$ref": "#/$defs/A", "description": "its title"}, "$ref": {}},
        "enum": [{"title": "kept"}],
    }
    assert compact(schema) == {
        "enum": [{"title": "kept"}],
        "properties": {"title": {"description": "its title", "type": "integer"}, "$ref": {}},
    }


def test_compact_keeps_references_where_writing_them_out_would_get_long() -> None:
    """Each definition holds the next one four times: written out it would be a million parts."""
    definitions: dict[str, Any] = {f"D{n}": {"prefixItems": [{"$ref": f"#/$defs/D{n + 1}"}] * 4} for n in range(10)}
    small = compact({"$ref": "#/$defs/D0", "$defs": {**definitions, "D10": {"type": "string"}}})
    assert len(json.dumps(small)) < 5000
    assert set(small["$defs"]) == {f"D{n}" for n in range(11)}
    value: Any = "x"
    for _ in range(10):
        value = [value]
    assert faults(small, value) == []
    value = 3
    for _ in range(10):
        value = [value]
    assert faults(small, value) == ["[0][0][0][0][0][0][0][0][0][0] must be a string, not 3"]
