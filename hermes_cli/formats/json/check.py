"""Check JSON Schemas, and values against them, with errors that a model can act on.

Nothing is downloaded for a reference. A pattern that takes half a second ends the check.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.formats.json.formats import format_checker
from hermes_cli.formats.json.patterns import compiled
from hermes_cli.formats.json.schema import Schema, children

if TYPE_CHECKING:
    from jsonschema.exceptions import SchemaError, ValidationError

_MOST_CHARACTERS = 1_000_000
_PATTERN_S = 0.5
_PROBES: tuple[Any, ...] = (None, True, 0, "", [], {}, [[]], {"": ""})
_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_MOST_FAULTS = 5


def checked(schema: Any, name: str = "the schema") -> Schema:
    """`schema` itself, if values can be checked against it. Raises UsageError, in which it is called `name`."""
    from jsonschema import FormatChecker
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    hint = 'a JSON Schema is an object such as {"type": "object", "properties": {...}}; see json-schema.org'
    if isinstance(schema, Mapping) and not isinstance(schema.get("$schema", ""), str):
        raise UsageError(f"{name} has an unknown $schema", hint)
    if not isinstance(schema, Mapping | bool):
        raise UsageError(f"{name} is not a JSON Schema, but {_shown(schema)}", hint)
    try:
        if len(json.dumps(schema)) > _MOST_CHARACTERS:
            raise UsageError(f"{name} is longer than {_MOST_CHARACTERS:,} characters", "use a smaller one")
        # Patterns are compiled below, by the library that will search with them.
        check = partial(_validator_class(schema).check_schema, format_checker=FormatChecker(formats=()))
        check(schema)
        _check_patterns(_all_parts(schema, name, check), name)
        validator = _validator(schema)
        for probe in _PROBES:
            next(validator.iter_errors(probe), None)
    except SchemaError as error:
        raise UsageError(f"{name} is not valid: {_message(error)}", hint) from error
    except RecursionError as error:
        raise UsageError(f"{name} is nested too deeply, or refers to itself endlessly", "simplify it") from error
    except _PatternError as problem:
        raise UsageError(f"{name} cannot be used: {problem}", hint) from problem
    except re.error as problem:
        raise UsageError(
            f"{name} has a pattern next to unevaluatedProperties that cannot be checked: {problem}", hint
        ) from problem
    except Unresolvable as problem:
        raise _missing_reference(name, problem.ref) from problem
    return schema


def faults(schema: Schema, value: Any) -> list[str]:
    """The errors of `value`: where, what, and what would be right; empty if it satisfies the schema."""
    from referencing.exceptions import Unresolvable

    try:
        errors = sorted(_validator(schema).iter_errors(value), key=lambda error: len(error.absolute_path))
    except _PatternError as problem:
        return [str(problem)]
    except Unresolvable as problem:
        return [f"the schema refers to {problem.ref}, which is not in it"]
    except (RecursionError, ArithmeticError):
        return ["the value is nested too deeply, or holds a number that is too large"]
    return list(dict.fromkeys(map(_message, errors)))[:_MOST_FAULTS]


def _validator(schema: Schema) -> Any:
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

    # This registry holds the metaschemas only: without one, jsonschema would fetch what a reference names.
    return _extended(_validator_class(schema))(schema, registry=REGISTRY, format_checker=format_checker())


def _validator_class(schema: Schema) -> Any:
    """What jsonschema has for the draft that the schema names, else for the latest."""
    import jsonschema

    return jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)


@cache
def _extended(validator: Any) -> Any:
    """The validator class with patterns of ECMA-262, a time limit on them, and `dependencies` in every draft."""
    import jsonschema

    own = {
        "dependencies": jsonschema.Draft7Validator.VALIDATORS["dependencies"],
        **validator.VALIDATORS,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    return jsonschema.validators.extend(validator, own)  # type: ignore[no-untyped-call]


class _PatternError(Exception):
    """A pattern that takes too long or cannot be used ends the check: every other value would wait as long."""


def _matches(pattern: str, text: str) -> bool:
    """Whether `pattern` is found in `text`. Raises _PatternError."""
    try:
        return compiled(pattern).search(text, timeout=_PATTERN_S) is not None
    except TimeoutError:
        raise _PatternError(f"the pattern {pattern} takes too long on {_shown(text)}") from None
    except ValueError as error:
        raise _PatternError(f"the pattern {pattern} cannot be used: {error}") from error


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator["ValidationError"]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError(f"{_shown(instance)} does not match {pattern}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator["ValidationError"]:
    if isinstance(instance, Mapping):
        for pattern, part in patterns.items():
            for key, value in instance.items():
                if _matches(pattern, key):
                    yield from validator.descend(value, part, path=key, schema_path=pattern)


def _additional_properties(validator: Any, part: Any, instance: Any, schema: Any) -> Iterator["ValidationError"]:
    from jsonschema.exceptions import ValidationError

    if not isinstance(instance, Mapping):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in known or any(_matches(pattern, key) for pattern in patterns):
            continue
        if part is False:
            yield ValidationError(f"unknown key {key}; {did_you_mean(key, known, _known(known))}")
        else:
            yield from validator.descend(value, part, path=key)


def _known(names: Mapping[str, Any]) -> str:
    return f"known keys: {', '.join(names)}" if names else "no key is allowed"


def _all_parts(schema: Schema, name: str, check: Callable[[Any], None]) -> list[Mapping[str, Any]]:
    """The schema and every schema in it or referred to by it; `check` is called for targets that are not subschemas."""
    from jsonschema_specifications import REGISTRY
    from referencing import Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resource: Any = Resource.from_contents(schema, default_specification=DRAFT202012)
    specification = resource._specification
    found: list[Mapping[str, Any]] = []
    known: set[int] = set()
    waiting = [(schema, REGISTRY.resolver_with_root(resource), True)]
    while waiting:
        part, resolver, resolved = waiting.pop()
        if not isinstance(part, Mapping) or id(part) in known:
            continue
        known.add(id(part))
        found.append(part)
        inside = resolver if resolved else resolver.in_subresource(specification.create_resource(part))
        waiting += [(child, inside, False) for child in children(part)]
        for reference in (part.get("$ref"), part.get("$dynamicRef"), part.get("$recursiveRef")):
            if not isinstance(reference, str):
                continue
            try:
                target = inside.lookup(reference)
            except (Unresolvable, ValueError, TypeError, KeyError) as error:
                raise _missing_reference(name, reference) from error
            if id(target.contents) not in known:
                check(target.contents)
                waiting.append((target.contents, target.resolver, True))
    return found


def _missing_reference(name: str, reference: str) -> UsageError:
    if reference.startswith("#"):
        return UsageError(f"{name} refers to {reference}, which is not in it", "add it, or correct the reference")
    hint = "copy the referenced schema into $defs and refer to #/$defs/NAME"
    return UsageError(f"{name} refers to {reference}, which is not in it; nothing is downloaded", hint)


def _check_patterns(found: Sequence[Mapping[str, Any]], name: str) -> None:
    lists = [part["patternProperties"] for part in found if isinstance(part.get("patternProperties"), Mapping)]
    own = [part["pattern"] for part in found if isinstance(part.get("pattern"), str)]
    for pattern in (*own, *(each for patterns in lists for each in patterns)):
        try:
            compiled(pattern)
        except ValueError as error:
            raise UsageError(
                f"{name} has the pattern {pattern}, which cannot be used: {error}", "correct it"
            ) from error


def _message(error: "ValidationError | SchemaError") -> str:
    """Where the error is and what is wrong; of several alternatives, those that match best."""
    choices = [one for one in error.context or () if one.relative_path] or list(error.context or ())
    kinds = [kind for one in choices if one.validator == "type" for kind in _listed(one.validator_value)]
    if not choices:
        return _place(error) + _rule_message(error)
    if all(one.validator == "type" and not one.relative_path for one in choices):
        named = " or ".join(dict.fromkeys(_TYPES.get(kind, kind) for kind in kinds))
        return f"{_place(error)}must be {named}, not {_shown(error.instance)}"
    return " or ".join(dict.fromkeys(map(_message, choices)))[:500]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _rule_message(error: "ValidationError | SchemaError") -> str:
    """An error of jsonschema in words that help the next try."""
    value: Any = error.validator_value
    instance: Any = error.instance
    rule = str(error.validator)
    match rule:
        case "type":
            named = " or ".join(_TYPES.get(kind, kind) for kind in _listed(value))
            return f"must be {named}, not {_shown(instance)}"
        case "enum":
            return f"must be one of {', '.join(map(_shown, value))}, not {_shown(instance)}"
        case "const":
            return f"must be {_shown(value)}, not {_shown(instance)}"
        case "required":
            missing = [name for name in value if error.message.startswith(f"{name!r} is")]
            return f"{missing[0]} is missing" if missing else error.message
        case "minimum" | "exclusiveMinimum":
            return f"must be {'at least' if rule == 'minimum' else 'more than'} {value}, not {_shown(instance)}"
        case "maximum" | "exclusiveMaximum":
            return f"must be {'at most' if rule == 'maximum' else 'less than'} {value}, not {_shown(instance)}"
        case "minLength" | "minItems" | "minProperties":
            return f"must have at least {value} {_unit(rule)}, not {len(instance)}"
        case "maxLength" | "maxItems" | "maxProperties":
            return f"must have at most {value} {_unit(rule)}, not {len(instance)}"
        case "format":
            return f"must be a valid {value}, not {_shown(instance)}"
        case "not":
            return f"must not match the schema {_shown(value)}, and {_shown(instance)} does"
        case "None":
            return f"must be absent, not {_shown(instance)}"
    return error.message if len(error.message) <= 500 else error.message[:500] + "..."


def _unit(rule: str) -> str:
    return {"Length": "characters", "Items": "entries", "Properties": "keys"}[rule[3:]]


def _place(error: "ValidationError | SchemaError") -> str:
    """The place in the value, as `items[2].name`, and a space; empty for the value itself."""
    text = ""
    for step in error.absolute_path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text + ": " if text and error.validator in ("required", "additionalProperties") else text + " " * bool(text)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
