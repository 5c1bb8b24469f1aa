"""Any JSON Schema as the grammar compiler reads it: draft 2020-12, self-contained, and only what can be enforced.

A change never allows less than the schema; parts that are left to the final check are noted.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from hermes_cli.formats.json.formats import FORMATS, PATTERNS
from hermes_cli.formats.json.schema import Schema

Node = dict[str, Any]
_BY_NAME = ("properties", "patternProperties")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_PLAIN = ("type", "enum", "const", "required", "multipleOf")
_APPLIED_IN_PLACE = ("$ref", "anyOf", "oneOf", "allOf", "if", "dependentSchemas", "$dynamicRef", "not")
# In every draft, these are left to the final check.
_NOT_ENFORCED = (
    *("not", "if", "then", "else", "contains", "minContains", "maxContains", "uniqueItems", "propertyNames"),
    *("dependentRequired", "dependentSchemas", "dependencies", "unevaluatedItems", "unevaluatedProperties"),
    *("$dynamicRef", "$recursiveRef", "extends", "disallow", "divisibleBy"),
)
# Keywords for which jsonschema has no function of their own, or only in some drafts.
_READ_BY_OTHERS = (
    *("then", "else", "minContains", "maxContains", "exclusiveMinimum", "exclusiveMaximum"),
    "dependencies",
)
_OLD_REFERENCES = ("draft-03", "draft-04", "draft-06", "draft-07")
_MOST_EXACT = 2**53  # numbers of a grammar are floats
_MOST_COUNT = 100_000
_MOST_DECIMALS = 6  # of a multipleOf
_DRAFT_3 = "draft-03"


class Dialect:
    """Reads one schema; `notes` names the keywords left out."""

    def __init__(self, schema: Schema) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import validator_for
        from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
        from referencing import Resource
        from referencing.jsonschema import DRAFT202012

        known: Any = validator_for(schema, default=Draft202012Validator)
        self._draft = str(known.META_SCHEMA.get("$schema", ""))
        self._keywords = frozenset(known.VALIDATORS)
        self._root = schema
        resource: Any = Resource.from_contents(schema, default_specification=DRAFT202012)
        self._specification = resource._specification
        self._resolver = REGISTRY.resolver_with_root(resource)
        self._names: dict[int, str] = {}
        self._waiting: list[tuple[str, Any, Any]] = []
        self._definitions: dict[str, Any] = {}
        self.notes: dict[str, None] = {}

    def read(self) -> Any:
        """The schema in the dialect of the compiler, with everything that it refers to under `$defs`.

        Raises RecursionError, and referencing's Unresolvable for what is not in the schema.
        """
        if isinstance(self._root, bool):
            return {} if self._root else False
        if _DRAFT_3 in self._draft:
            self.notes["everything, because draft 3 is not supported"] = None
            return {}
        whole = self._read(self._root, self._resolver, resolved=True)
        while self._waiting:
            name, contents, resolver = self._waiting.pop()
            self._definitions[name] = self._read(contents, resolver, resolved=True)
        return {**whole, "$defs": self._definitions} if self._definitions and isinstance(whole, dict) else whole

    def _read(self, schema: Any, resolver: Any, *, resolved: bool = False) -> Any:
        """One schema; `resolved` if `resolver` already applies to its content, as for the target of a reference."""
        if not isinstance(schema, Mapping):
            return schema
        if not resolved:
            resolver = resolver.in_subresource(self._specification.create_resource(schema))
        if "$ref" in schema and any(draft in self._draft for draft in _OLD_REFERENCES):
            return {"$ref": self._reference(schema["$ref"], resolver)}
        known = {key: value for key, value in schema.items() if key in self._keywords or key in _READ_BY_OTHERS}
        self._restate(known)
        node: Node = {}
        for key, value in known.items():
            if key == "$ref":
                node[key] = self._reference(value, resolver)
            elif key in _BY_NAME:
                node[key] = {name: self._read(one, resolver) for name, one in value.items()}
            elif key in _LISTED:
                node[key] = [self._read(one, resolver) for one in value]
            elif key in _SINGLE:
                node[key] = self._read(value, resolver)
            elif key in _NOT_ENFORCED:
                self._leave_out(key, known)
            elif key in (*_COUNTS, *_BOUNDS):
                self._number(node, key, value)
            elif key in _PLAIN:
                node[key] = value
        self._constants(node)
        _multiples(node)
        self._patterns(node, known)
        return node

    def _reference(self, reference: str, resolver: Any) -> str:
        resolved = resolver.lookup(reference)
        key = id(resolved.contents)
        if key not in self._names:
            self._names[key] = f"r{len(self._names)}"
            self._waiting.append((self._names[key], resolved.contents, resolved.resolver))
        return f"#/$defs/{self._names[key]}"

    def _restate(self, known: Node) -> None:
        """Replace keywords of older drafts, and keywords that have an enforceable equivalent."""
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if isinstance(known.get(exclusive), bool) and known.pop(exclusive) and bound in known:
                known[exclusive] = known.pop(bound)
        if isinstance(known.get("items"), list):
            known["prefixItems"] = known.pop("items")
            if "additionalItems" in known:
                known["items"] = known.pop("additionalItems")
        if not any(key in known for key in _APPLIED_IN_PLACE):
            if "additionalProperties" not in known and "unevaluatedProperties" in known:
                known["additionalProperties"] = known.pop("unevaluatedProperties")
            if "items" not in known and "contains" not in known and "unevaluatedItems" in known:
                known["items"] = known.pop("unevaluatedItems")
        names = known.get("propertyNames")
        if isinstance(names, Mapping) and not {"properties", "patternProperties", "required"} & set(known):
            pattern = names.get("pattern")
            if isinstance(pattern, str) and set(names) <= {"pattern", "type", "description", "title"}:
                del known["propertyNames"]
                rest = known.pop("additionalProperties", True)
                known["patternProperties"], known["additionalProperties"] = {pattern: rest}, False

    def _leave_out(self, key: str, known: Node) -> None:
        """Note a keyword that is not enforced, unless its value has no effect."""
        value = known[key]
        if key == "uniqueItems" and (not value or known.get("maxItems", 2) < 2):
            return
        says_something = ("not", "if", "contains", "minContains", "uniqueItems")
        if key not in says_something and (value is True or value in ({}, [])):
            return
        if (key in ("then", "else") and "if" not in known) or (key == "if" and not {"then", "else"} & set(known)):
            return
        if key in ("minContains", "maxContains") and "contains" not in known:
            return
        self.notes[key] = None

    def _number(self, node: Node, key: str, value: Any) -> None:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if key in _COUNTS:
            if value <= _MOST_COUNT:
                node[key] = int(value)
            else:
                self.notes[f"{key} {int(value)}"] = None
                if key.startswith("min"):
                    node[key] = _MOST_COUNT
        elif whole and abs(value) > _MOST_EXACT:
            self.notes[f"{key} {value}"] = None
        else:
            node[key] = value

    def _constants(self, node: Node) -> None:
        """Numbers that a grammar would round are any integer."""
        if "const" in node and _is_large(node["const"]):
            self.notes["const"] = None
            node.pop("const")
        if "enum" in node and any(map(_is_large, node["enum"])):
            self.notes["enum"] = None
            node.pop("enum")

    def _patterns(self, node: Node, known: Node) -> None:
        own = [known["pattern"]] if "pattern" in known else []
        form = known.get("format")
        if form in PATTERNS:
            own.append(PATTERNS[form])
        elif form in FORMATS:
            self.notes[f"the format {form}"] = None
        elif form is not None:
            self.notes[f"the format {form}, which is unknown and is not checked at all"] = None
        if own:
            node["pattern"] = own[0]
        if own[1:]:
            node["allOf"] = [*node.get("allOf", ()), {"pattern": own[1]}]


def _multiples(node: Node) -> None:
    """Allow multiples of a number such as 0.25 with fewer decimals too: the compiler takes 0.50, but not 0.5."""
    if "multipleOf" not in node:
        return
    step = Fraction(str(node["multipleOf"]))
    decimals = next((count for count in range(1, _MOST_DECIMALS + 1) if 10**count % step.denominator == 0), 0)
    if decimals < 2 or (step.numerator == 1 and step.denominator == 10**decimals):
        return
    del node["multipleOf"]
    steps = [step, *(common_multiple(step, Fraction(1, 10**fewer)) for fewer in range(decimals))]
    together = {"anyOf": [{"multipleOf": float(one)} for one in dict.fromkeys(steps)]}
    node["allOf"] = [*node.get("allOf", ()), together]


def common_multiple(first: Fraction, second: Fraction) -> Fraction:
    """The least common multiple."""
    numerators = first.numerator * second.denominator, second.numerator * first.denominator
    return Fraction(math.lcm(*numerators), first.denominator * second.denominator)


def _is_large(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_large, value.values()))
    if isinstance(value, list):
        return any(map(_is_large, value))
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > _MOST_EXACT


def changed(node: Any, change: Callable[[Node], Any]) -> Any:
    """A copy with every schema in it changed, from the leaves up."""
    if not isinstance(node, dict):
        return node
    copy = dict(node)
    for key in (*_BY_NAME, "$defs"):
        if key in copy:
            copy[key] = {name: changed(one, change) for name, one in copy[key].items()}
    for key in _LISTED:
        if key in copy:
            copy[key] = [changed(one, change) for one in copy[key]]
    for key in _SINGLE:
        if key in copy:
            copy[key] = changed(copy[key], change)
    return change(copy)
