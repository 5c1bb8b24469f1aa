"""Plans for requests with tools, a schema or a grammar; they are cached by schema."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from hermes_cli.chat.request import GenerationRequest
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.engine.constraint.compiler import check_library, fault
from hermes_cli.engine.constraint.gbnf import from_gbnf
from hermes_cli.engine.constraint.grammar import (
    Plan,
    call_grammar,
    call_rules,
    json_grammar,
    json_or_calls_grammar,
    opening_grammar,
)
from hermes_cli.engine.constraint.schema import ANY_OBJECT, Enforced, enforced
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.formats.json.schema import KEYWORDS, Schema
from hermes_cli.formats.tags import PAD_START

Key = TypeVar("Key")
Value = TypeVar("Value")
_MOST_REMEMBERED = 64


class Plans:
    """Plans constrained requests, and caches the results for each schema."""

    def __init__(self) -> None:
        self._schemas: dict[tuple[str, bool], Enforced] = {}
        self._faults: dict[str, str | None] = {}
        self._grammars: dict[str, str] = {}

    def plan(self, request: GenerationRequest) -> Plan:
        """The constraint for `request`. Raises UsageError, EngineError."""
        check_library()
        if request.grammar is not None:
            return Plan(whole=self._grammar(request.grammar), begun=_begun(request), form="grammar")
        must_call = request.must_call
        tools = _chosen(request.tools, request.tool_choice)
        arguments = [self._arguments(tool) for tool in tools]
        rules = call_rules([(tool.name, one.text) for tool, one in zip(tools, arguments, strict=True)])
        notes = tuple(note for one in arguments for note in one.notes)
        begun = _begun(request)
        if request.schema is not None and not must_call:
            answer = self._enforced(request.schema)
            whole = json_or_calls_grammar(answer.text, rules) if rules else json_grammar(answer.text)
            said = tuple(map(_only_checked, answer.notes))
            if isinstance(request.schema, Mapping) and request.schema and not set(request.schema) & KEYWORDS:
                said = ("the schema allows any JSON value",)
            return Plan(whole=whole, begun=begun, notes=(*notes, *said))
        if not tools:
            return Plan(begun=begun)
        if reason := self._fault(call := call_grammar(rules)):
            raise UsageError(f"the tools cannot be constrained: {reason}", "use fewer tools, or --no-constrain")
        system = "".join(message.content for message in request.messages if message.role == "system")
        opening = opening_grammar(rules, pad=PAD_START in system) if must_call else None
        return Plan(call=call, opening=opening, begun=begun, notes=notes)

    def _arguments(self, tool: ToolSchema) -> Enforced:
        """The schema of a tool's arguments as far as it can be enforced; at worst, any object."""
        try:
            one = self._enforced({"type": "object", **tool.parameters}, closed=True)
        except UsageError as problem:
            one = Enforced(ANY_OBJECT.text, (problem.message.removeprefix("the schema cannot be used: "),))
        notes = tuple(f"arguments of {tool.name} are only checked after generation: {note}" for note in one.notes)
        return Enforced(one.text, notes)

    def _enforced(self, schema: Schema, *, closed: bool = False) -> Enforced:
        try:
            key = (json.dumps(schema), closed)
        except (TypeError, ValueError, RecursionError):
            return enforced(schema, closed=closed)  # which says what is wrong with it
        if key not in self._schemas:
            _remember(self._schemas, key, enforced(schema, closed=closed))
        return self._schemas[key]

    def _grammar(self, text: str) -> str:
        if text not in self._grammars:
            _remember(self._grammars, text, from_gbnf(text))
        return self._grammars[text]

    def _fault(self, grammar: str) -> str | None:
        """Why the tools cannot be constrained together, although each alone can."""
        if grammar not in self._faults:
            _remember(self._faults, grammar, fault(grammar))
        return self._faults[grammar]


def _remember(known: dict[Key, Value], key: Key, value: Value) -> None:
    known[key] = value
    if len(known) > _MOST_REMEMBERED:
        del known[next(iter(known))]


def _begun(request: GenerationRequest) -> str:
    """The part of the answer that exists already."""
    last = request.messages[-1] if request.messages else None
    return last.content if last and last.role == "assistant" else ""


def _only_checked(note: str) -> str:
    return f"not enforced during generation, only checked afterwards: {note}"


def _chosen(tools: Sequence[ToolSchema], choice: str) -> list[ToolSchema]:
    """The tools that may be called. Raises UsageError for a name that none has."""
    if choice == "none":
        return []
    named = [tool for tool in tools if choice in ("auto", "required", tool.name)]
    if not named and choice != "auto":
        hint = did_you_mean(choice, [tool.name for tool in tools], "see --tools")
        raise UsageError(f"no tool is named {choice}", hint)
    return named
