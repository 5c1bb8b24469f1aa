"""JSON Schemas to constrain answers with: thirty of everyday shapes, and some hundreds that cover the keywords."""

import itertools
import json
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "maxLength": 40}
WHOLE: Schema = {"type": "integer"}


def record(*, required: list[str] | None = None, **properties: Schema) -> Schema:
    """An object with these properties, all required by default, and no others."""
    return closed(properties, required)


def closed(properties: dict[str, Schema], required: list[str] | None = None) -> Schema:
    """The same for properties whose names are not Python names."""
    wanted = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": wanted, "additionalProperties": False}


def listing(items: Schema, low: int = 0, high: int = 4) -> Schema:
    """An array of a few items."""
    return {"type": "array", "items": items, "minItems": low, "maxItems": high}


TREE: Schema = {
    "$defs": {"leaf": record(name=TEXT)},
    **record(name=TEXT, left={"anyOf": [{"$ref": "#/$defs/leaf"}, {"type": "null"}]}),
}

EVERYDAY: dict[str, Schema] = {
    "person": record(name=TEXT, age=WHOLE),
    "person with optional email": record(name=TEXT, email={"type": "string", "format": "email"}, required=["name"]),
    "address": record(street=TEXT, city=TEXT, zip={"type": "string", "pattern": "^[0-9]{5}$"}),
    "nested": record(person=record(name=TEXT, address=record(city=TEXT)), active={"type": "boolean"}),
    "tags": record(tags=listing({"enum": ["red", "green", "blue"]}, 1, 3)),
    "list of objects": listing(record(item=TEXT, price={"type": "number", "minimum": 0, "maximum": 1000}), 1, 3),
    "enum": {"enum": ["yes", "no", "perhaps"]},
    "mixed enum": {"enum": [1, "two", None, True, {"three": 3}]},
    "const": {"const": {"ok": True, "items": [1, 2]}},
    "integer range": {"type": "integer", "minimum": -10, "maximum": 10},
    "exclusive range": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "multiple": {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100},
    "date": {"type": "string", "format": "date"},
    "time stamp": record(at={"type": "string", "format": "date-time"}),
    "uuid": {"type": "string", "format": "uuid"},
    "short text": {"type": "string", "minLength": 3, "maxLength": 8},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
    "nullable": record(note={"type": ["string", "null"], "maxLength": 20}),
    "one of two": {"anyOf": [record(kind={"const": "a"}, x=WHOLE), record(kind={"const": "b"}, y=TEXT)]},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "tuple": {"type": "array", "prefixItems": [TEXT, WHOLE], "items": False, "minItems": 2},
    "matrix": listing(listing({"type": "integer", "minimum": 0, "maximum": 9}, 2, 2), 2, 2),
    "reference": TREE,
    "all of": {"allOf": [record(a=WHOLE), {"properties": {"a": {"minimum": 3, "maximum": 9}}}]},
    "map": {"type": "object", "additionalProperties": WHOLE, "maxProperties": 2},
    "pattern properties": {"type": "object", "patternProperties": {"^x[0-9]$": WHOLE}, "required": ["x1"]}
    | {"additionalProperties": False},
    "keys with odd letters": closed({"größe": WHOLE, "a b": TEXT, 'quote"': {"type": "boolean"}}),
    "title and description": {"title": "Planet", "description": "A planet.", **record(name=TEXT, moons=WHOLE)},
    "deep": record(a=record(b=record(c=record(d=record(e=listing({"type": "boolean"}, 1, 2)))))),
}


def collection() -> dict[str, Schema]:
    """Some hundreds of schemas by name: every keyword alone, in pairs, inside objects and arrays, and hostile ones."""
    schemas = {**_atoms(), **EVERYDAY}
    for name, schema in _atoms().items():
        if "$ref" in str(schema):
            continue
        schemas[f"property of {name}"] = {"type": "object", "properties": {"p": schema}, "required": ["p"]}
        schemas[f"optional {name}"] = record(p=schema, q={"type": "boolean"}, required=["q"])
        schemas[f"array of {name}"] = listing(schema, 1, 2)
        schemas[f"nullable {name}"] = {"anyOf": [schema, {"type": "null"}]}
        schemas[f"referenced {name}"] = {"$defs": {"d": schema}, "$ref": "#/$defs/d"}
    for (one, first), (other, second) in itertools.combinations(_parts().items(), 2):
        schemas[f"{one} and {other}"] = {"allOf": [first, second]}
    return {**schemas, **_hostile()}


def schemas_below(folder: Path) -> dict[str, Schema]:
    """The schemas in the JSON files below a folder: one a file, or a list of those in the JSON Schema Test Suite."""
    found: dict[str, Schema] = {}
    for path in sorted(folder.rglob("*.json")):
        content, name = json.loads(path.read_text(encoding="utf-8")), str(path.relative_to(folder))
        if isinstance(content, list):
            found |= {f"{name}: {one['description']}": one["schema"] for one in content}
        else:
            found[name] = content
    return found


_LIMITS: dict[str, Schema] = {
    "any": {},
    "from": {"minimum": -3.5},
    "to": {"maximum": 7},
    "between": {"minimum": 2, "maximum": 11},
    "above": {"exclusiveMinimum": 0},
    "inside": {"exclusiveMinimum": 0, "exclusiveMaximum": 3},
    "multiple": {"multipleOf": 3},
    "half": {"multipleOf": 0.5},
    "negative": {"minimum": -100, "maximum": -90},
}


def _atoms() -> dict[str, Schema]:
    """Single keywords."""
    numbers: dict[str, Schema] = {
        f"{kind} {name}": {"type": kind, **limits} for kind in ("integer", "number") for name, limits in _LIMITS.items()
    }
    formats = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "regex")
    texts: dict[str, Schema] = {f"format {name}": {"type": "string", "format": name} for name in formats}
    patterns = ("^a+$", "b", "^[^x]{2,4}$", r"^\d{3}\w*$", "^(ab|cd)*$", r"^\S+ \S+$", "^é[ü-ý]$", "^.{3}$", "$^", "^$")
    texts |= {f"pattern {pattern}": {"type": "string", "pattern": pattern} for pattern in patterns}
    texts |= {
        "min length": {"type": "string", "minLength": 5},
        "max length": {"type": "string", "maxLength": 3},
        "pattern and length": {"type": "string", "pattern": "^[ab]*$", "minLength": 2, "maxLength": 5},
    }
    return {**numbers, **texts, **_arrays(), **_objects(), **_combined()}


def _arrays() -> dict[str, Schema]:
    return {
        "array": {"type": "array"},
        "array of false": {"type": "array", "items": False},
        "min items": {"type": "array", "minItems": 2, "items": WHOLE},
        "prefix": {"type": "array", "prefixItems": [WHOLE, {"type": "boolean"}]},
        "prefix and rest": {"type": "array", "prefixItems": [WHOLE], "items": {"type": "null"}, "minItems": 2},
        "unique": {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 2, "maxItems": 3},
        "not unique": {"type": "array", "items": WHOLE, "uniqueItems": False, "maxItems": 2},
        "contains": {"type": "array", "contains": {"const": 1}, "maxItems": 3},
        "unevaluated items": {"type": "array", "prefixItems": [WHOLE], "unevaluatedItems": False},
    }


def _objects() -> dict[str, Schema]:
    return {
        "object": {"type": "object"},
        "closed": {"type": "object", "additionalProperties": False},
        "required only": {"type": "object", "required": ["a", "b"]},
        "map of integers": {"type": "object", "additionalProperties": WHOLE},
        "min properties": {"type": "object", "minProperties": 1, "additionalProperties": WHOLE},
        "two properties": {"type": "object", "minProperties": 2, "maxProperties": 2, "additionalProperties": WHOLE},
        "max properties": {"type": "object", "maxProperties": 1},
        "property names": {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}},
        "dependent": {"type": "object", "properties": {"a": WHOLE, "b": WHOLE}, "dependentRequired": {"a": ["b"]}},
        "dependent schema": {"type": "object", "dependentSchemas": {"a": {"required": ["b"]}}},
        "open": {"type": "object", "properties": {"a": WHOLE}, "additionalProperties": {"type": "string"}},
        "forbidden property": {"type": "object", "properties": {"a": False, "b": WHOLE}, "required": ["b"]},
        "unevaluated": {"properties": {"a": WHOLE}, "unevaluatedProperties": False, "type": "object"},
        "property names like keywords": closed({"$ref": WHOLE, "type": TEXT, "uniqueItems": {"type": "boolean"}}),
    }


def _combined() -> dict[str, Schema]:
    return {
        "anything": {},
        "any of": {"anyOf": [{"type": "integer", "minimum": 5}, {"type": "string", "maxLength": 2}]},
        "one of": {"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 3}]},
        "one of overlapping": {"oneOf": [{"type": "integer", "maximum": 9}, {"type": "integer", "minimum": 5}]},
        "not": {"not": {"type": "string"}},
        "if": {"if": {"type": "integer"}, "then": {"minimum": 10}, "else": {"type": "string", "maxLength": 3}},
        "types": {"type": ["integer", "string", "null"], "maxLength": 3, "minimum": 2},
        "enum and type": {"type": "string", "enum": ["a", 1, "b"]},
        "const text": {"const": 'say "hi"\n\\ \u00e9 \U0001f600'},
        "reference beside keywords": {"$defs": {"d": {"minimum": 3}}, "$ref": "#/$defs/d", "type": "integer"},
        "recursive": {"type": "object", "properties": {"v": WHOLE, "next": {"$ref": "#"}}, "required": ["v"]}
        | {"additionalProperties": False},
        "recursive list": {"$defs": {"l": {"type": "array", "items": {"$ref": "#/$defs/l"}, "maxItems": 2}}}
        | {"$ref": "#/$defs/l"},
    }


def _parts() -> dict[str, Schema]:
    """Keywords that meet in `allOf`."""
    return {
        "integer": {"type": "integer"},
        "at least 3": {"minimum": 3},
        "at most 20": {"maximum": 20},
        "even": {"multipleOf": 2},
        "text": {"type": "string"},
        "short": {"maxLength": 6},
        "long": {"minLength": 3},
        "digits": {"pattern": "^[0-9]*$"},
        "object": {"type": "object", "required": ["a"]},
        "a is a number": {"properties": {"a": {"type": "number"}}},
        "closed to b": {"properties": {"b": {"type": "boolean"}}, "additionalProperties": {"type": "integer"}},
        "array": {"type": "array", "maxItems": 2},
        "of integers": {"items": {"type": "integer"}},
        "few values": {"enum": [1, 4, "12", "abcdefg", {"a": 1}, {"a": 1.5}, [1], [1, 2, 3]]},
    }


def _hostile() -> dict[str, Schema]:
    """What no one should send: contradictory, endless, enormous, or made to take for ever."""
    chain = {f"d{index}": {"anyOf": [{"$ref": f"#/$defs/d{index + 1}"}, {"type": "null"}]} for index in range(4000)}
    return {
        "contradictory": {"type": "integer", "minimum": 5, "maximum": 3},
        "two types at once": {"allOf": [{"type": "string"}, {"type": "integer"}]},
        "no value": {"enum": []},
        "itself": {"$ref": "#"},
        "must hold itself": {"type": "object", "properties": {"c": {"$ref": "#"}}, "required": ["c"]},
        "in a circle": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        "nowhere": {"$ref": "#/nope"},
        "elsewhere": {"$ref": "https://example.invalid/schema.json"},
        "no such type": {"type": "date"},
        "wrong keyword": {"type": "integer", "minimum": "five"},
        "long chain": {"$defs": {**chain, "d4000": {"type": "null"}}, "$ref": "#/$defs/d0"},
        "many required": {"type": "object", "required": [f"p{index}" for index in range(50_000)]},
        "many properties": {"type": "object", "properties": {f"p{index}": TEXT for index in range(20_000)}},
        "many values": {"enum": [f"value {index}" for index in range(100_000)]},
        "patterns that meet": {"allOf": [{"type": "string", "pattern": f"a{i}.*b{i}"} for i in range(60)]},
        "large multiples": {"allOf": [{"type": "integer", "multipleOf": 9973}, {"multipleOf": 9967}]},
        "repeated repetition": {"type": "string", "pattern": "(.{1,1000}){1,1000}"},
        "backtracking": {"type": "string", "pattern": "^(a+)+$"},
        "backtracking too": {"type": "string", "pattern": "^(a?){400}a{400}$"},
        "look-ahead": {"type": "string", "pattern": "^(?=.*a)b"},
        "broken pattern": {"type": "string", "pattern": "("},
        "very long": {"type": "string", "minLength": 10**9},
        "half a character": {"const": "\ud800"},
    }
