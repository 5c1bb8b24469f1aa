"""JSON Schemas made ready for llguidance: read once, stripped of what says nothing, weighed, named in plain words."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hermes_cli.errors import UsageError
from hermes_cli.formats.json.schema import Schema, parts

# Where a schema holds further ones: by name, in a list, or alone.
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_ALONE = (
    *("items", "additionalItems", "unevaluatedItems", "contains", "not", "if", "then", "else"),
    *("additionalProperties", "unevaluatedProperties", "propertyNames"),
)
_COMBINING = ("$ref", "anyOf", "oneOf", "allOf", "if", "dependentSchemas", "patternProperties")

# Below these nothing was ever seen to crash, or to take long; above them a child process tries first.
_SMALL_CHARACTERS = 8_000
_FEW_REFERENCES = 30
_FEW_PATTERNS = 3
_SMALL_MULTIPLE = 1_000

# Characters that only \\u can spell, and escapes in patterns that may mean such; elsewhere it has no use.
_CONTROL = re.compile(r"\\u00(?:[01]|7f)|\\\\[xuc0]")
_ALL_ESCAPES = 'nrbtfu\\"'


@dataclass(frozen=True, slots=True)
class ReadySchema:
    """A schema as text for the compiler; `risky` if the compiler must not be trusted with it in this process."""

    text: str
    risky: bool


def ready(schema: Schema, *, separators: Mapping[str, Any], closed: bool = False) -> ReadySchema:
    """`schema` with fixed separators; with `closed` only declared properties. Raises UsageError where it is no schema.

    The model writes keys in the order of the schema, with the separators it was trained on.
    """
    if schema is False:
        raise UsageError("nothing can satisfy the schema `false`", "give a schema that allows something")
    if schema is not True and not isinstance(schema, Mapping):
        raise UsageError("a schema is a JSON object", 'give one such as {"type": "object"}')
    try:
        cleaned = _cleaned({} if schema is True else schema)
        if closed and "additionalProperties" not in cleaned and not any(key in cleaned for key in _COMBINING):
            cleaned["additionalProperties"] = False
        text = json.dumps(cleaned, allow_nan=False)
        escapes = {"json_allowed_escapes": _ALL_ESCAPES} if _CONTROL.search(text) else {}
        text = json.dumps({**cleaned, "x-guidance": {**separators, **escapes}})
    except RecursionError as error:
        raise UsageError("the schema is nested too deeply", "make it flatter") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"the schema is not JSON: {error}", "see what is wrong with it") from error
    return ReadySchema(text, _risky(cleaned, len(text)))


def _cleaned(schema: Any) -> Any:
    """A copy without keywords that say nothing but that the compiler does not know, and without its own options."""
    if not isinstance(schema, Mapping):
        return schema
    copy = {
        key: value
        for key, value in schema.items()
        if key != "x-guidance" and not (key == "uniqueItems" and value is False)
    }
    for key in _NAMED:
        if isinstance(copy.get(key), Mapping):
            copy[key] = {name: _cleaned(each) for name, each in copy[key].items()}
    for key in _LISTED:
        if isinstance(copy.get(key), list | tuple):
            copy[key] = [_cleaned(each) for each in copy[key]]
    for key in _ALONE:
        if key in copy:
            copy[key] = _cleaned(copy[key])
    return copy


def _risky(schema: Mapping[str, Any], characters: int) -> bool:
    """Whether compiling might overflow the stack (long chains) or take minutes (patterns and multiples combined)."""
    if characters > _SMALL_CHARACTERS:
        return True
    references = patterns = 0
    for part in parts(schema):
        references += "$ref" in part
        patterns += "pattern" in part
        patterns += len(part["patternProperties"]) if isinstance(part.get("patternProperties"), Mapping) else 0
        multiple = part.get("multipleOf", 1)
        if not isinstance(multiple, int) or not 0 < multiple <= _SMALL_MULTIPLE:
            return True
    return references > _FEW_REFERENCES or patterns > _FEW_PATTERNS
