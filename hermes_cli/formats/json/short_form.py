"""The ways to write a JSON Schema on a command line: as JSON, or in the short form `name, age int, tags[]`."""

import json
import re
from typing import Any

from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.formats.json.check import checked
from hermes_cli.formats.json.schema import ANNOTATIONS, KEYWORDS, Schema

MOST_BYTES = 2_000_000
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_FIELD = re.compile(r"(?P<name>[^\W\d]\w*)(?P<list>\[\])?(?P<optional>\?)?(?:\s+(?P<type>.+))?")
_WRAPPER = {"name", "description", "strict", "schema", "type"}
_HINT = "write the fields like: name, age int, tags[], mood happy|sad, nickname?"


def schema_from_text(text: str) -> Schema:
    """The schema written as JSON or in the short form. Raises UsageError."""
    stripped = text.strip()
    if stripped.startswith(("{", "[", '"')) or stripped in ("true", "false"):
        return schema_from_json(stripped)
    return schema_from_fields(stripped)


def schema_from_json(text: str | bytes, name: str = "the schema") -> Schema:
    """The JSON Schema in `text`, which errors call `name`. Raises UsageError."""
    if len(text) > MOST_BYTES:
        raise UsageError(f"{name} is longer than {MOST_BYTES:,} bytes", "use a smaller schema")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, character {error.colno}"
        raise UsageError(f"{name} is not JSON: {error.msg} ({where})", "check its quotes, commas and braces") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not JSON in UTF-8, or nested too deeply", "save it as UTF-8 text") from error
    schema = checked(_unwrapped(value), name)
    _check_is_not_an_example(schema, name)
    return schema


def _unwrapped(value: Any) -> Any:
    """The schema in OpenAI's `response_format`, in its inner object with a name or in a function; else `value`."""
    if value == {"type": "json_object"}:
        return {"type": "object"}
    if isinstance(value, dict) and value.get("type") == "function":
        value = value.get("function", value)
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        for key in ("parameters", "input_schema"):
            if isinstance(value.get(key), dict):
                return value[key]
    if isinstance(value, dict) and isinstance(value.get("json_schema"), dict):
        value = value["json_schema"]
    if isinstance(value, dict) and isinstance(value.get("schema"), dict | bool) and set(value) <= _WRAPPER:
        return value["schema"]
    return value


def _check_is_not_an_example(schema: Schema, name: str) -> None:
    """Raise UsageError for JSON without a keyword of JSON Schema: it would allow everything."""
    if isinstance(schema, bool) or set(schema) & KEYWORDS:
        return
    unknown = [key for key in schema if key not in ANNOTATIONS and not key.startswith(("$", "x-"))]
    if unknown:
        shown = ", ".join(unknown[:5])
        raise UsageError(f"{name} is JSON, but not a JSON Schema: it has {shown} and no keyword such as type", _HINT)


def schema_from_fields(text: str) -> Schema:
    """The object with these fields: `name type: what it is`, separated by commas, or one on each line.

    Types are str (the default), int, float, bool, choices such as `red|green`, and lists of these with `[]`;
    a field with `?` after its name or its type is optional. Raises UsageError.
    """
    entries = [entry.strip() for entry in (text.splitlines() if "\n" in text else text.split(","))]
    properties: dict[str, Any] = {}
    required: list[str] = []
    for entry in filter(None, entries):
        name, optional, schema = _field(entry)
        if name in properties:
            raise UsageError(f"the schema has the field {name} twice", "rename one of them")
        properties[name] = schema
        required += [] if optional else [name]
    if not properties:
        raise UsageError("the schema has no fields", _HINT)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _field(entry: str) -> tuple[str, bool, dict[str, Any]]:
    """A field's name, whether it is optional, and its schema."""
    declared, _, description = entry.partition(":")
    found = _FIELD.fullmatch(declared.strip())
    if not found:
        raise UsageError(f"the schema has a field that cannot be read: {entry}", _HINT)
    written = (found["type"] or "str").strip()
    schema = _type(written.removesuffix("?").strip(), entry)
    if found["list"]:
        schema = {"type": "array", "items": schema}
    about = {"description": " ".join(description.split())} if description.strip() else {}
    return found["name"], bool(found["optional"]) or written.endswith("?"), {**about, **schema}


def _type(written: str, entry: str) -> dict[str, Any]:
    if written.endswith("[]"):
        return {"type": "array", "items": _type(written.removesuffix("[]").strip(), entry)}
    if "|" in written:
        choices = [choice.strip() for choice in written.split("|")]
        if not all(choices) or len(set(choices)) < len(choices):
            raise UsageError(f"the choices in {entry} are empty or repeated", _HINT)
        return {"type": "string", "enum": choices}
    if written not in _TYPES:
        hint = did_you_mean(written, _TYPES, f"types are {', '.join(_TYPES)}, choices a|b, and lists with []")
        raise UsageError(f"unknown type {written} in the schema", hint)
    return {"type": _TYPES[written]}
