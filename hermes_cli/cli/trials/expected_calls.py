"""The tool calls that a test case expects, and how they are compared with the calls a model made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.formats.json.check import faults
from hermes_cli.formats.json.schema import Schema

_SHOWN_CHARACTERS = 80
Parameters = Mapping[str, Mapping[str, Any]]  # by the tool's name, the JSON Schema of its arguments


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """A call with arguments that must be equal, and arguments that must satisfy a schema.

    If it is `partial`, the call may have other arguments too.
    """

    name: str
    arguments: Mapping[str, Any]
    schemas: Mapping[str, Schema]
    partial: bool

    def faults(self, call: ToolCall, parameters: Mapping[str, Any]) -> list[str]:
        """Differences of a call of this tool, whose arguments have the schema `parameters`.

        An argument that repeats its default, or is null where it may be omitted, is not a difference.
        """
        given, properties = call.arguments, parameters.get("properties") or {}
        wrong = [f"{name} is missing" for name in (*self.arguments, *self.schemas) if name not in given]
        for name, value in given.items():
            if name in self.arguments:
                wanted = self.arguments[name]
                wrong += [] if same(value, wanted) else [f"{name} is {shown(value)}, expected {shown(wanted)}"]
            elif name in self.schemas:
                wrong += [f"{name} {fault}" for fault in faults(self.schemas[name], value)]
            elif not self.partial and not _is_default(name, value, properties):
                wrong.append(f"unexpected argument {name}: {shown(value)}")
        return wrong


def call_faults(expected: Sequence[ExpectedCall], calls: Sequence[ToolCall], parameters: Parameters) -> list[str]:
    """Differences between the expected calls and those made, in any order."""
    fitting = [
        [
            place
            for place, call in enumerate(calls)
            if call.name == one.name and not one.faults(call, parameters[one.name])
        ]
        for one in expected
    ]
    taken = _pairs(fitting)
    missing = [one for number, one in enumerate(expected) if number not in taken.values()]
    left, wrong = [call for place, call in enumerate(calls) if place not in taken], list[str]()
    for one in missing:
        near = next((call for call in left if call.name == one.name), None)
        if near is None:
            wrong.append(f"{one.name} was not called")
        else:
            left.remove(near)
            wrong += one.faults(near, parameters[one.name])
    return wrong + [f"unexpected call of {call.name}" for call in left]


def _pairs(fitting: Sequence[Sequence[int]]) -> dict[int, int]:
    """A maximum matching: `fitting[i]` lists the places that suit `i`; the result maps a place to its `i`."""
    taken: dict[int, int] = {}

    def give(number: int, seen: set[int]) -> bool:
        for place in fitting[number]:
            if place not in seen:
                seen.add(place)
                if place not in taken or give(taken[place], seen):
                    taken[place] = number
                    return True
        return False

    for number in range(len(fitting)):
        give(number, set())
    return taken


def _is_default(name: str, value: Any, properties: Mapping[str, Any]) -> bool:
    """Whether an argument is null or equals its default, as if it had been omitted."""
    described = properties.get(name)
    if not isinstance(described, Mapping):
        return False
    return value is None or ("default" in described and same(value, described["default"]))


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; 1 equals 1.0, but not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def shown(value: Any) -> str:
    """A JSON value as text, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
