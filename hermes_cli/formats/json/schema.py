"""JSON Schemas: their keywords and parts, and a compact form without references and titles."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any] | bool

_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_SINGLE = (
    *("items", "additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
    *("not", "if", "then", "else", "contains", "propertyNames", "contentSchema"),
)
# Every keyword that constrains a value, in any draft.
KEYWORDS = frozenset(
    {"$ref", "$dynamicRef", "$recursiveRef", "type", "enum", "const", "required", "dependentRequired", "format"}
    | {"pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minItems", "maxItems", "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties"}
    | {"extends", "disallow", "divisibleBy"}
    | {*_LISTED, *_SINGLE, *_BY_NAME} - {"$defs", "definitions", "contentSchema"}
)
ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "id", "definitions"}
    | {"contentSchema", "contentMediaType", "contentEncoding"}
)
_MOST_NODES = 5000
# In this order the keywords come in the trained examples.
_ORDER = ("description", "type", "enum", "const", "properties", "required", "items", "anyOf")


def parts(schema: object) -> Iterator[Mapping[str, Any]]:
    """The schema and every schema in it; values of `default`, `enum` and the like are not schemas."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            yield node
            waiting += children(node)


def children(schema: Mapping[str, Any]) -> list[Any]:
    """The schemas directly in a schema."""
    found: list[Any] = []
    for key, value in schema.items():
        if key in _BY_NAME and isinstance(value, Mapping):
            found += value.values()
        elif key in _LISTED and isinstance(value, list):
            found += value
        elif key in _SINGLE:
            found.append(value)
    return found


def compact(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as a small model reads it best: without titles, with definitions in place of references.

    Only a definition that contains itself stays a reference, and all do where the result would be long.
    """
    writer = _Compact(schema)
    whole = writer.written(schema, ())
    if writer.nodes > _MOST_NODES:
        writer = _Compact(schema, inline=False)
        whole = writer.written(schema, ())
    whole.pop("$defs", None)
    if writer.kept:
        whole["$defs"] = {name: writer.definition(name) for name in writer.all_kept()}
    return whole


class _Compact:
    def __init__(self, schema: Mapping[str, Any], inline: bool = True) -> None:
        self._definitions: Mapping[str, Any] = schema.get("$defs") or {}
        self._inline = inline
        self.nodes = 0
        self.kept: set[str] = set()

    def all_kept(self) -> list[str]:
        """The definitions that stay, and those that they refer to."""
        done: set[str] = set()
        while self.kept - done:
            for name in self.kept - done:
                self.definition(name)
                done.add(name)
        return [name for name in self._definitions if name in done]

    def definition(self, name: str) -> dict[str, Any]:
        return self.written(self._definitions[name], (name,))

    def written(self, node: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        """A compact copy of `node`; `inside` names the definitions around it."""
        self.nodes += 1
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        if name in self._definitions and self.nodes <= _MOST_NODES:
            rest = {key: value for key, value in node.items() if key != "$ref"}
            if self._inline and name not in inside:
                return self.written({**self._definitions[name], **rest}, (*inside, name))
            self.kept.add(name)
        ordered = sorted(node, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER))
        return {key: self._value(key, node[key], inside) for key in ordered if key != "title"}

    def _value(self, key: str, value: Any, inside: tuple[str, ...]) -> Any:
        if key in _BY_NAME and isinstance(value, Mapping):
            if key == "$defs":
                return {}
            return {name: self._part(one, inside) for name, one in value.items()}
        if key in _LISTED and isinstance(value, list):
            return [self._part(one, inside) for one in value]
        return self._part(value, inside) if key in _SINGLE else value

    def _part(self, value: Any, inside: tuple[str, ...]) -> Any:
        return self.written(value, inside) if isinstance(value, Mapping) else value
