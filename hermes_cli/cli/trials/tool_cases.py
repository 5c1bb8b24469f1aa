"""Files of cases for `hermes tools test`: what is asked, and the calls a model should answer it with."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.errors import UsageError
from hermes_cli.files import check_hint
from hermes_cli.formats.json.check import checked, faults
from hermes_cli.formats.json.schema import Schema
from hermes_cli.store.presets import front_matter
from hermes_cli.store.presets.front_matter import Fault

NO_CALL = "none"
_MOST_BYTES = 1 << 20
_CASE_KEYS = ("prompt", "call", "arguments", "schemas", "partial", "calls")
_CALL_KEYS = ("call", "arguments", "schemas", "partial")


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """A call that should come: arguments that are given exactly, and such that only have to satisfy a schema.

    Others may come too where it is `partial`, as it is where nothing is said of arguments.
    """

    name: str
    arguments: Mapping[str, Any]
    schemas: Mapping[str, Schema]
    partial: bool

    def faults(self, call: ToolCall, parameters: Mapping[str, Any]) -> list[str]:
        """What is wrong with a call of this tool, whose schema is `parameters`; a default spelled out is not."""
        given, properties = call.arguments, parameters.get("properties") or {}
        wrong = [f"{name} is missing" for name in (*self.arguments, *self.schemas) if name not in given]
        for name, value in given.items():
            if name in self.arguments:
                wanted = self.arguments[name]
                wrong += [] if _same(value, wanted) else [f"{name} is {_shown(value)}, not {_shown(wanted)}"]
            elif name in self.schemas:
                wrong += [f"{name} {fault}" for fault in faults(self.schemas[name], value)]
            elif not self.partial and not _says_nothing(name, value, properties):
                wrong.append(f"{name} is {_shown(value)}, and should not be there")
        return wrong

    def is_met_by(self, call: ToolCall, parameters: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether `call` is this one; `parameters` are the schemas of the tools by name."""
        return call.name == self.name and not self.faults(call, parameters[self.name])


@dataclass(frozen=True, slots=True)
class ToolCase:
    """A prompt and the calls it should lead to, in any order; none if the model should not call anything."""

    prompt: str
    calls: tuple[ExpectedCall, ...]

    def faults(self, calls: Sequence[ToolCall], parameters: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """What is wrong with the calls that came; `parameters` are the schemas of the tools by name."""
        fitting = [
            [place for place, call in enumerate(calls) if expected.is_met_by(call, parameters)]
            for expected in self.calls
        ]
        taken = _pairs(fitting)
        missing = [expected for number, expected in enumerate(self.calls) if number not in taken.values()]
        left, wrong = [call for place, call in enumerate(calls) if place not in taken], list[str]()
        for expected in missing:
            near = next((each for each in left if each.name == expected.name), None)
            if near is None:
                wrong.append(f"{expected.name} was not called")
            else:
                left.remove(near)
                wrong += expected.faults(near, parameters[expected.name])
        return wrong + [f"{each.name} should not be called" for each in left]


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases of a file, and the tools it says they are for: built-in names and paths."""

    cases: tuple[ToolCase, ...]
    tools: tuple[str, ...]


def read_cases(path: Path) -> CaseFile:
    """The cases in a YAML or JSON file: a list of them, or below `cases` beside `tools`. Raises UsageError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the cases {path}: {error.strerror}", check_hint(path)) from error
    try:
        if len(content) > _MOST_BYTES:
            raise Fault(f"has more than {_MOST_BYTES >> 20} MiB")
        return _parsed(_values(content, is_json=path.suffix == ".json"), path.parent)
    except Fault as fault:
        raise UsageError(
            f"the case file {path} {fault}", "a case is a prompt and a call; see docs/function-calling.md"
        ) from fault


class _Loader(front_matter.TextLoader):
    """Plain scalars as JSON has them, and nothing else: `no`, `1_000` and `2024-01-01` are texts."""


_SCALARS: dict[str, tuple[str, str, Callable[[str], object]]] = {
    "bool": (r"(?:true|false)$", "tf", lambda text: text == "true"),
    "int": (r"-?(?:0|[1-9][0-9]*)$", "-0123456789", int),
    "float": (r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "-0123456789", float),
}


def _learn(kind: str, form: str, first: str, made: Callable[[str], object]) -> None:
    """Teach the loader one kind of plain scalar."""
    tag = f"tag:yaml.org,2002:{kind}"

    def construct(loader: _Loader, node: yaml.Node) -> object:
        return made(str(node.value))

    _Loader.add_implicit_resolver(tag, re.compile(form), list(first))
    _Loader.add_constructor(tag, construct)


for _kind, _rules in _SCALARS.items():
    _learn(_kind, *_rules)


def _values(content: bytes, *, is_json: bool) -> Any:
    """What the file holds, as values of JSON. Raises Fault."""
    try:
        text = content.decode("utf-8-sig")
        return json.loads(text) if is_json else yaml.load(text, _Loader)
    except UnicodeDecodeError as error:
        raise Fault("is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Fault(f"has a fault{line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise Fault(f"has a fault: {error}") from error
    except RecursionError as error:
        raise Fault("is nested too deeply") from error


def _parsed(value: Any, folder: Path) -> CaseFile:
    """The cases; files of tools lie where they do from `folder`. Raises Fault."""
    whole: dict[object, object] = value if isinstance(value, dict) else {"cases": value}
    front_matter.check_keys(whole, ("tools", "cases"))
    listed = whole.get("cases")
    if not isinstance(listed, list) or not listed:
        raise Fault("needs a list of cases, each beginning with `- prompt:`")
    cases = tuple(_case(f"case {number}", fields) for number, fields in enumerate(listed, 1))
    return CaseFile(cases, front_matter.tools(whole.get("tools"), folder))


def _case(place: str, fields: object) -> ToolCase:
    if not isinstance(fields, dict):
        raise Fault(f"needs `name: value` lines in {place}")
    front_matter.check_keys(fields, _CASE_KEYS, f" in {place}")
    prompt = front_matter.text(f"prompt of {place}", fields.get("prompt"))
    if not prompt or not prompt.strip():
        raise Fault(f"has no prompt in {place}")
    if ("call" in fields) == ("calls" in fields):
        raise Fault(f"needs either call or calls in {place}; `call: none` where nothing should be called")
    if "call" in fields:
        return ToolCase(prompt, _calls(place, [{key: fields[key] for key in _CALL_KEYS if key in fields}]))
    beside = [key for key in fields if key not in ("prompt", "calls")]
    if beside:
        raise Fault(f"has {beside[0]} beside calls in {place}; write it below the call it belongs to")
    listed = fields["calls"]
    if not isinstance(listed, list) or not listed:
        raise Fault(f"needs a list as calls of {place}, each beginning with `- call:`")
    return ToolCase(prompt, _calls(place, listed))


def _calls(place: str, listed: Sequence[object]) -> tuple[ExpectedCall, ...]:
    calls: list[ExpectedCall] = []
    for fields in listed:
        if not isinstance(fields, dict):
            raise Fault(f"needs `call: NAME` in each of the calls of {place}")
        front_matter.check_keys(fields, _CALL_KEYS, f" in the calls of {place}")
        name = front_matter.text(f"call of {place}", fields.get("call"))
        if not name:
            raise Fault(f"names no tool as call of {place}; `call: none` where nothing should be called")
        if name == NO_CALL:
            if len(listed) > 1 or len(fields) > 1:
                raise Fault(f"has more beside `call: none` in {place}")
            return ()
        calls.append(_call(place, name, fields))
    return tuple(calls)


def _call(place: str, name: str, fields: Mapping[object, object]) -> ExpectedCall:
    arguments = _named(place, fields, "arguments")
    partial = fields.get("partial", not ("arguments" in fields or "schemas" in fields))
    if not isinstance(partial, bool):
        raise Fault(f"needs true or false as partial of {place}")
    schemas: dict[str, Schema] = {}
    for key, schema in _named(place, fields, "schemas").items():
        if key in arguments:
            raise Fault(f"has {key} both in arguments and in schemas of {place}")
        try:
            schemas[key] = checked(schema, f"the schema of {key}")
        except UsageError as problem:
            raise Fault(f"has a fault in {place}: {problem.message}") from problem
    return ExpectedCall(name, arguments, schemas, partial)


def _named(place: str, fields: Mapping[object, object], key: str) -> dict[str, Any]:
    named = front_matter.mapping(fields, key, f" of {place}")
    return {str(name): value for name, value in named.items()}


def _pairs(fitting: Sequence[Sequence[int]]) -> dict[int, int]:
    """Pair as many as possible: `fitting` lists for each what would do for it; which is taken, and for whom."""
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


def _says_nothing(name: str, value: Any, properties: Mapping[str, Any]) -> bool:
    """Whether an argument is what it would be without: its default, or null."""
    described = properties.get(name)
    if not isinstance(described, Mapping):
        return False
    return value is None or ("default" in described and _same(value, described["default"]))


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; 1 is 1.0, but not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
