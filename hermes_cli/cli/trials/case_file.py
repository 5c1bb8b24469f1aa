"""Reading test cases from YAML files and from the examples of presets. The format: docs/testing.md."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml

from hermes_cli.cli.trials.cases import Case, Expected, Form
from hermes_cli.cli.trials.expected_calls import ExpectedCall
from hermes_cli.errors import UsageError
from hermes_cli.files import Unreadable, read_text
from hermes_cli.formats.json.check import checked
from hermes_cli.formats.json.schema import Schema
from hermes_cli.store.presets import front_matter
from hermes_cli.store.presets.front_matter import Fault
from hermes_cli.store.presets.presets import preset_file, preset_text

_MOST_BYTES = 1 << 20
_MOST_REPEATS = 1000
_SHARED = ("preset", "system", "tools", "schema", "repeats", "pass_rate")
_CASE_KEYS = ("prompt", "variables", "expect", *_SHARED)
_EXAMPLE_KEYS = ("prompt", "variables", "expect", "repeats", "pass_rate")
_EXPECTED_KEYS = ("contains", "not_contains", "regex", "equals", "json", "form", "calls")
_CALL_KEYS = ("name", "arguments", "schemas", "partial")


class _Plain(str):
    """An unquoted scalar that JSON reads as a number or a boolean; where text is expected, it is the text."""

    __slots__ = ()

    @property
    def value(self) -> bool | float:
        if self in ("true", "false"):
            return self == "true"
        return int(self) if self.lstrip("-").isdigit() else float(self)


class _Loader(front_matter.TextLoader):
    """Text, except unquoted JSON numbers, true, false and null; `no`, `1_000` and `2024-01-01` are text."""


_PLAIN = "tag:yaml.org,2002:json"
_JSON_SCALAR = re.compile(r"(?:true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)$")
_Loader.add_implicit_resolver(_PLAIN, _JSON_SCALAR, list("tf-0123456789"))
_Loader.add_constructor(_PLAIN, lambda loader, node: _Plain(node.value))


def read_cases(path: Path) -> list[Case]:
    """The cases of a YAML file. Tool and schema files are relative to its folder. Raises UsageError."""
    try:
        return _file_cases(_loaded(read_text(path, _MOST_BYTES, pipes=True)), path)
    except OSError as error:
        raise UsageError(f"cannot read the cases {path}: {error.strerror}", "check the file name") from error
    except (Unreadable, Fault) as fault:
        hint = "the format is in docs/testing.md: each case has a prompt and, under expect, what the answer must be"
        raise UsageError(f"the case file {path} {fault}", hint) from fault


def preset_cases(name: str) -> list[Case]:
    """The examples of a preset. Raises UsageError."""
    path = preset_file(name)
    try:
        fields, _ = front_matter.read(preset_text(path), _Loader)
        listed = fields.get("examples")
        if not isinstance(listed, list | None):
            raise Fault("needs a list as examples, each beginning with `- prompt:`")
        shared = {"preset": name}
        return [
            _case((name, number), f"example {number}", example, _EXAMPLE_KEYS, shared, path.parent)
            for number, example in enumerate(listed or (), 1)
        ]
    except Fault as fault:
        raise UsageError(f"the preset {path} {fault}", f"fix it: hermes presets edit {name}") from fault


def _loaded(text: str) -> object:
    """The YAML document. Raises Fault."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Fault(f"is not valid YAML{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise Fault(f"is not valid YAML: {error}") from error
    except RecursionError as error:
        raise Fault("is nested too deeply") from error


def _file_cases(value: object, path: Path) -> list[Case]:
    """The cases of a document: a list of them, or `cases` with the keys they share. Raises Fault."""
    whole: dict[object, object] = value if isinstance(value, dict) else {"cases": value}
    front_matter.check_keys(whole, (*_SHARED, "cases"))
    listed = whole.get("cases")
    if not isinstance(listed, list) or not listed:
        raise Fault("needs a list of cases, each beginning with `- prompt:`")
    return [
        _case((path.stem, number), f"case {number}", fields, _CASE_KEYS, whole, path.parent)
        for number, fields in enumerate(listed, 1)
    ]


def _case(
    origin: tuple[str, int],
    place: str,
    own: object,
    known: tuple[str, ...],
    shared: Mapping[Any, object],
    folder: Path,
) -> Case:
    """One case from its `own` keys, else the `shared` ones. Raises Fault."""
    if not isinstance(own, dict):
        raise Fault(f"needs `name: value` lines in {place}")
    front_matter.check_keys(own, known, f" in {place}")
    inherited: dict[object, object] = {key: shared[key] for key in _SHARED if key in shared}
    if "preset" in own or "system" in own:
        inherited = {key: value for key, value in inherited.items() if key not in ("preset", "system")}
    fields = inherited | own
    prompt = front_matter.text(f"prompt of {place}", fields.get("prompt"))
    if not prompt or not prompt.strip():
        raise Fault(f"has no prompt in {place}")
    preset = front_matter.text(f"preset of {place}", fields.get("preset"))
    system = front_matter.text(f"system of {place}", fields.get("system"))
    if preset and system:
        raise Fault(f"has both preset and system in {place}")
    variables = {
        str(name): front_matter.text(f"{name} of {place}", value) or ""
        for name, value in front_matter.mapping(fields, "variables", f" of {place}").items()
    }
    if variables and not preset:
        raise Fault(f"has variables without a preset in {place}")
    source, number = origin
    return Case(
        source,
        number,
        prompt,
        _expected(place, fields.get("expect")),
        preset,
        variables,
        system,
        front_matter.tools(fields.get("tools"), folder),
        _schema(place, fields.get("schema"), folder),
        int(_number(place, fields, "repeats", 1, _MOST_REPEATS, whole=True)),
        _number(place, fields, "pass_rate", 0, 1),
    )


def _number(
    place: str, fields: Mapping[object, object], key: str, low: int, high: int, *, whole: bool = False
) -> float:
    """A number of a case, 1 if it is absent. Raises Fault."""
    given = fields.get(key)
    number = 1.0 if given is None else given.value if isinstance(given, _Plain) else -1.0
    if isinstance(number, bool) or not low <= number <= high or (whole and number != int(number)):
        raise Fault(f"needs a {'whole ' if whole else ''}number from {low} to {high} as {key} of {place}")
    return number


def _schema(place: str, value: object, folder: Path) -> Schema | None:
    """A schema as `--schema` takes it, or a JSON Schema written out. Raises Fault."""
    if value is None:
        return None
    from hermes_cli.store.schemas import load_schema

    try:
        if isinstance(value, str):
            return load_schema(value, folder)
        return checked(_json(value), f"the schema of {place}")
    except UsageError as problem:
        raise Fault(f"has an invalid schema in {place}: {problem.message}") from problem


def _expected(place: str, value: object) -> Expected:
    if not isinstance(value, dict) or not value:
        raise Fault(f"needs expect with at least one of {', '.join(_EXPECTED_KEYS)} in {place}")
    front_matter.check_keys(value, _EXPECTED_KEYS, f" in expect of {place}")
    form = front_matter.text(f"form of {place}", value.get("form"))
    forms: tuple[Form, ...] = get_args(Form)
    if form is not None and form not in forms:
        raise Fault(f"needs {', '.join(forms[:-1])} or {forms[-1]} as form of {place}")
    return Expected(
        contains=_texts(place, value, "contains"),
        not_contains=_texts(place, value, "not_contains"),
        regex=tuple(_pattern(place, text) for text in _texts(place, value, "regex")),
        equals=front_matter.text(f"equals of {place}", value.get("equals")),
        json=(_json(value["json"]),) if "json" in value else None,
        form=next((one for one in forms if one == form), None),
        calls=_calls(place, value["calls"]) if "calls" in value else None,
    )


def _texts(place: str, fields: Mapping[object, object], key: str) -> tuple[str, ...]:
    """A text, or a list of them. Raises Fault."""
    value = fields.get(key)
    given = value if isinstance(value, list) else [] if value is None else [value]
    texts = tuple(front_matter.text(f"{key} of {place}", each) or "" for each in given)
    if key in fields and not (texts and all(texts)):
        raise Fault(f"has an empty text as {key} of {place}")
    return texts


def _pattern(place: str, text: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings(action="ignore"):  # deprecated regex syntax still works
            return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise Fault(f"has an invalid regular expression in {place}: {error}") from error


def _calls(place: str, value: object) -> tuple[ExpectedCall, ...]:
    """`none`, a tool's name, a call with its arguments, or a list of these. Raises Fault."""
    if value == "none":
        return ()
    return tuple(_call(place, one) for one in (value if isinstance(value, list) else [value]))


def _call(place: str, value: object) -> ExpectedCall:
    fields = {"name": value} if isinstance(value, str) else value
    if not isinstance(fields, dict):
        raise Fault(f"needs the name of a tool, or none, as calls of {place}")
    front_matter.check_keys(fields, _CALL_KEYS, f" in the calls of {place}")
    name = front_matter.text(f"the name of a call of {place}", fields.get("name"))
    if not name or name == "none":
        raise Fault(f"has a call without the name of a tool in {place}; `calls: none` expects no call")
    arguments = {str(key): _json(each) for key, each in front_matter.mapping(fields, "arguments").items()}
    partial = fields.get("partial", _Plain("false" if "arguments" in fields or "schemas" in fields else "true"))
    if not isinstance(partial, _Plain) or not isinstance(partial.value, bool):
        raise Fault(f"needs true or false as partial of {place}")
    schemas = {}
    for key, each in front_matter.mapping(fields, "schemas").items():
        if key in arguments:
            raise Fault(f"has {key} both in arguments and in schemas of {place}")
        schema = _schema(place, _json(each), Path())
        schemas[str(key)] = schema if schema is not None else {}
    return ExpectedCall(name, arguments, schemas, partial.value)


def _json(value: object) -> Any:
    """A YAML value as the JSON value it stands for."""
    if isinstance(value, _Plain):
        return value.value
    if isinstance(value, list):
        return [_json(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _json(one) for key, one in value.items()}
    return value
