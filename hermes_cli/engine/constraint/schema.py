"""The part of a JSON Schema that can be enforced during generation, and notes on the rest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hermes_cli.engine.constraint.compiler import UNSATISFIABLE, fault
from hermes_cli.engine.constraint.dialect import Dialect
from hermes_cli.engine.constraint.grammar import compiler_text, json_grammar
from hermes_cli.engine.constraint.weaken import Notes, bounded, is_endless, steps, written_out
from hermes_cli.errors import UsageError
from hermes_cli.formats.json.schema import Schema

_COMBINING = ("$ref", "anyOf", "oneOf", "allOf", "patternProperties")
_HINT = "change the schema, or use --no-constrain"


@dataclass(frozen=True, slots=True)
class Enforced:
    """The part of a schema that is enforced during generation, as text for llguidance; `notes` name the rest."""

    text: str
    notes: tuple[str, ...] = ()


ANY_OBJECT = Enforced(compiler_text({"type": "object"}))


def enforced(schema: Schema, *, closed: bool = False) -> Enforced:
    """What of `schema` can be enforced; with `closed` objects have only declared properties at the top.

    Raises UsageError for what is not a schema, refers to elsewhere, or cannot be satisfied by anything.
    """
    if schema is not True and not isinstance(schema, Mapping):
        if schema is False:
            raise UsageError("nothing can satisfy the schema `false`", "give a schema that allows something")
        raise UsageError("a schema is a JSON object", 'give one such as {"type": "object"}')
    whole, notes = _read(schema)
    if closed and "additionalProperties" not in whole and not any(key in whole for key in _COMBINING):
        whole["additionalProperties"] = False
    if is_endless(whole):
        raise UsageError(f"the schema cannot be used: {UNSATISFIABLE}: it must contain itself", _HINT)
    whole, reason = _compiled(bounded(whole, notes))
    if reason and not reason.startswith(UNSATISFIABLE):
        whole, reason = _weakened(whole, reason, notes)
    if reason:
        raise UsageError(f"the schema cannot be used: {reason}", _HINT)
    return Enforced(compiler_text(whole), tuple(notes))


def _read(schema: Schema) -> tuple[Any, Notes]:
    """`schema` in the dialect of the compiler, and what is left out. Raises UsageError."""
    from referencing.exceptions import Unresolvable

    try:
        json.dumps(schema, allow_nan=False).encode()
        dialect = Dialect(schema)
        return dialect.read(), dialect.notes
    except Unresolvable as error:
        hint = "copy the referenced schema into $defs and refer to #/$defs/NAME"
        raise UsageError(f"the schema refers to {error.ref}, which is not in it", hint) from error
    except (RecursionError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, RecursionError) or "Circular" in str(error):
            raise UsageError("the schema is nested too deeply", "nest it less deeply") from error
        raise UsageError(f"the schema is not JSON Schema: {error}", "see json-schema.org") from error


def _weakened(schema: Any, reason: str | None, notes: Notes) -> tuple[Any, str | None]:
    """The schema with as much left out as it takes, and why even that cannot be used."""
    used = set()
    while reason and not reason.startswith(UNSATISFIABLE):
        step = next((one for one in steps(reason) if one not in used), None)
        if step is None:
            break
        used.add(step)
        weaker = step(schema, notes)
        if weaker != schema:
            schema, reason = _compiled(weaker)
    return schema, reason


def _compiled(schema: Any) -> tuple[Any, str | None]:
    """The schema, and why no text can satisfy it."""
    reason = fault(json_grammar(compiler_text(schema)))
    if reason and reason.startswith(UNSATISFIABLE) and "$defs" in schema:
        longer = written_out(schema)
        if not fault(json_grammar(compiler_text(longer))):
            return longer, None
    return schema, reason
