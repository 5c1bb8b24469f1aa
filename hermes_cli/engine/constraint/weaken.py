"""Weaken a schema that the compiler cannot handle: each step allows more, and names what it leaves out.

`bounded` comes first: it keeps out what would overflow the native stack or take minutes. The steps follow one by one
until the compiler is content.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from hermes_cli.engine.constraint.compiler import UNSATISFIABLE, fault
from hermes_cli.engine.constraint.dialect import Node, changed, common_multiple
from hermes_cli.engine.constraint.grammar import compiler_text, json_grammar

MOST_KEYS, MOST_DEPTH, MOST_PATTERNS = 2_000, 700, 5
_MOST_MULTIPLE = 10_000
_PATTERN_STEPS = 400
_MOST_WRITTEN_OUT = 20_000
_COUNTED = re.compile(r"\{\d*,?\d{2}|[*+?}]\)[*+{]")  # patterns that may grow in the middle of an answer
_STRING_KEYS = ("pattern", "minLength", "maxLength")
Notes = dict[str, None]


def bounded(schema: Any, notes: Notes) -> Any:
    """`schema` without parts that must never be given to the compiler."""
    if _depth(schema) > MOST_DEPTH:
        notes["everything, as its references are nested too deeply"] = None
        return {}
    multiple = Fraction(1)

    def change(node: Node) -> Node:
        nonlocal multiple
        if len(node.get("properties", ())) + len(node.get("required", ())) > 2 * MOST_KEYS:
            notes[f"an object with more than {MOST_KEYS:,} keys"] = None
            node = _without(node, "properties", "patternProperties", "additionalProperties", "required")
        if "multipleOf" in node:
            together = common_multiple(multiple, Fraction(str(node["multipleOf"])))
            if together.numerator > _MOST_MULTIPLE:
                notes[f"multipleOf {node['multipleOf']}"] = None
                node = _without(node, "multipleOf")
            else:
                multiple = together
        if sum("pattern" in one for one in node.get("allOf", ()) if isinstance(one, dict)) > MOST_PATTERNS:
            notes[f"more than {MOST_PATTERNS} patterns of one text"] = None
            node["allOf"] = [_without(one, "pattern") if isinstance(one, dict) else one for one in node["allOf"]]
        if _COUNTED.search(node.get("pattern", "")):
            node = _without_broken_pattern(node, notes)
        return node

    return changed(schema, change)


def steps(reason: str) -> Iterator[Callable[[Any, Notes], Any]]:
    """Weaker forms of a schema that was refused for `reason`, the smallest change first."""
    ladder: tuple[tuple[str, Callable[[Any, Notes], Any]], ...] = (
        ("oneOf", _any_of),
        ("Properties only supported", _counts_beside_optional_keys),
        ("patternProperty regexes", _overlapping_keys),
        ("pattern regex lookarounds unable", _broken_patterns),
        ("circular intersection stack", _references_alone),
        ("", _broken_patterns),
        ("Properties", _all_counts_of_keys),
        ("", _all_patterns),
        ("", _numbers),
        ("", _lengths),
        ("", _overlapping_keys),
        ("", _references_alone),
        ("", _intersections),
        ("", _outline),
    )
    words = reason.lower()
    for about, step in ladder:
        if not about or any(word in words for word in about.lower().split()):
            yield step


def _any_of(schema: Any, notes: Notes) -> Any:
    def change(node: Node) -> Node:
        if "oneOf" not in node:
            return node
        notes["oneOf with choices that may overlap"] = None
        choices = {"anyOf": node["oneOf"]}
        rest = _without(node, "oneOf")
        return {**rest, "allOf": [*rest.get("allOf", ()), choices]} if "anyOf" in rest else {**rest, **choices}

    return changed(schema, change)


def _counts_beside_optional_keys(schema: Any, notes: Notes) -> Any:
    """Without the bounds on the number of keys that llguidance would count wrongly: all but those of plain maps."""

    def change(node: Node) -> Node:
        if set(node.get("properties", ())) <= set(node.get("required", ())):
            return node
        return _noted(node, notes, "minProperties", "maxProperties", suffix=" with optional properties")

    return changed(schema, change)


def _all_counts_of_keys(schema: Any, notes: Notes) -> Any:
    return changed(schema, lambda node: _noted(node, notes, "minProperties", "maxProperties"))


def _overlapping_keys(schema: Any, notes: Notes) -> Any:
    def change(node: Node) -> Node:
        if "patternProperties" not in node:
            return node
        notes["patternProperties"] = None
        return _without(node, "patternProperties", "additionalProperties")

    return changed(schema, change)


def _broken_patterns(schema: Any, notes: Notes) -> Any:
    """Remove the patterns that fail by themselves."""

    def change(node: Node) -> Node:
        if "pattern" in node:
            node = _without_broken_pattern(node, notes)
        for pattern in node.get("patternProperties", ()):
            if _pattern_fault({"pattern": pattern}):
                notes["patternProperties"] = None
                return _without(node, "patternProperties", "additionalProperties")
        return node

    return changed(schema, change)


def _without_broken_pattern(node: Node, notes: Notes) -> Node:
    reason = _pattern_fault({key: node[key] for key in _STRING_KEYS if key in node})
    if not reason or reason.startswith(UNSATISFIABLE):
        return node
    notes[f"the pattern {node['pattern']:.100} ({reason.removeprefix('a pattern cannot be used: ')})"] = None
    return _without(node, "pattern")


def _pattern_fault(node: Node) -> str | None:
    """Why such a string cannot be written; some patterns fail only after some hundred characters."""
    return fault(json_grammar(compiler_text({"type": "string", **node})), _PATTERN_STEPS)


def _all_patterns(schema: Any, notes: Notes) -> Any:
    return changed(schema, lambda node: _noted(node, notes, "pattern"))


def _numbers(schema: Any, notes: Notes) -> Any:
    bounds = ("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    return changed(schema, lambda node: _noted(node, notes, *bounds))


def _lengths(schema: Any, notes: Notes) -> Any:
    return changed(schema, lambda node: _noted(node, notes, "minLength", "maxLength", "minItems", "maxItems"))


def _references_alone(schema: Any, notes: Notes) -> Any:
    """Remove keywords next to references."""

    def change(node: Node) -> Node:
        beside = [key for key in node if key not in ("$ref", "$defs")]
        if "$ref" not in node or not beside:
            return node
        notes["keywords next to $ref"] = None
        return _without(node, *beside)

    return changed(schema, change)


def _intersections(schema: Any, notes: Notes) -> Any:
    return changed(schema, lambda node: _noted(node, notes, "allOf"))


def _outline(schema: Any, notes: Notes) -> Any:
    """Only the type at the top."""
    notes["everything but the type of the whole value"] = None
    return {"type": schema["type"]} if isinstance(schema, dict) and "type" in schema else {}


def _noted(node: Node, notes: Notes, *keys: str, suffix: str = "") -> Node:
    for key in keys:
        if key in node:
            notes[f"{key}{suffix}"] = None
    return _without(node, *keys)


def _without(node: Node, *keys: str) -> Node:
    return {key: value for key, value in node.items() if key not in keys}


def written_out(schema: Any) -> Any:
    """`schema` with definitions in place of references, except in themselves; unchanged where that would get long.

    The compiler refuses all of a schema that refers to what nothing satisfies, but drops that where it is optional.
    """
    definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    nodes = 0

    def written(value: Any, inside: frozenset[str]) -> Any:
        nonlocal nodes
        nodes += 1
        if isinstance(value, list):
            return [written(one, inside) for one in value]
        if not isinstance(value, dict) or nodes > _MOST_WRITTEN_OUT:
            return value
        name = value["$ref"].removeprefix("#/$defs/") if isinstance(value.get("$ref"), str) else ""
        kept = {key: one if key in ("const", "enum", "$defs") else written(one, inside) for key, one in value.items()}
        if name not in definitions or name in inside:
            return kept
        target = written(definitions[name], inside | {name})
        del kept["$ref"]
        return {**kept, "allOf": [*kept.get("allOf", ()), target]} if kept else target

    whole = written(schema, frozenset())
    return whole if nodes <= _MOST_WRITTEN_OUT else schema


def is_endless(schema: Any) -> bool:
    """Whether every value of the schema must contain another one of the same kind."""
    definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    finite: set[str] = set()

    def ends(node: Any) -> bool:
        if not isinstance(node, dict) or "const" in node or "enum" in node:
            return True
        kind, properties = node.get("type"), node.get("properties", {})
        if kind == "object" and not all(ends(properties.get(name)) for name in node.get("required", ())):
            return False
        if (
            kind == "array"
            and node.get("minItems", 0) > len(node.get("prefixItems", ()))
            and not ends(node.get("items"))
        ):
            return False
        if "$ref" in node and node["$ref"].removeprefix("#/$defs/") not in finite:
            return False
        choices = node.get("anyOf", ()), node.get("oneOf", ())
        return all(map(ends, node.get("allOf", ()))) and all(any(map(ends, some)) for some in choices if some)

    while found := {name for name, node in definitions.items() if name not in finite and ends(node)}:
        finite |= found
    return not ends(schema)


def _depth(schema: Any) -> int:
    """How deeply the compiler nests its calls: it follows every reference as soon as it meets it."""
    definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    seen: set[str] = set()
    waiting: list[tuple[Any, int]] = [(schema, 1)]
    deepest = 0
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        children = []
        for key, value in node.items() if isinstance(node, dict) else ():
            if key == "$ref":
                name = value.removeprefix("#/$defs/")
                if name not in seen:
                    seen.add(name)
                    children.append(definitions.get(name))
            elif key in ("properties", "patternProperties"):
                children += value.values()
            elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
                children += value
            elif key in ("items", "additionalProperties"):
                children.append(value)
        waiting += [(child, depth + 1) for child in reversed(children)]
    return deepest
