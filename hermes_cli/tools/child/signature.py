"""A Python function's signature and docstring as the JSON Schema of its arguments; for the child process."""

import inspect
import json
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NotRequired

from hermes_cli.formats.json.schema import compact, parts

if TYPE_CHECKING:
    from docstring_parser import Docstring
    from pydantic import TypeAdapter

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_RETURNS = re.compile(r"^Returns?:[ \t]*(.*(?:\n[ \t]+.*|\n[ \t]*(?=\n|\Z))*)", re.MULTILINE)


class ToolFault(Exception):
    """What is wrong with a tool file: half a sentence that follows the name of the file, or of the function."""

    def __init__(self, message: str, line: int | None = None, function: str | None = None) -> None:
        super().__init__(message)
        self.message, self.line, self.function = message, line, function


class CallFault(ValueError):
    """Arguments that satisfy the schema and still cannot be converted, or a result that JSON cannot hold, in words."""


class Signature:
    """The parameters and the result of a function, described for the model; converts the model's arguments for it."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        """Raises ToolFault for a signature that cannot be described."""
        inner = inspect.unwrap(function)
        self._name, self._line = name, inner.__code__.co_firstlineno
        self._documentation = inspect.getdoc(inner) or ""
        self._parameters = dict(inspect.signature(function).parameters)
        self._hints = self._read_hints(inner)
        self._check()
        self._adapter = self._built()

    def describe(self) -> dict[str, Any]:
        """Description, parameters, `returns` (the schema of the result, or None) and line. Raises ToolFault."""
        documentation = self._parsed_documentation()
        description = " ".join(
            f"{documentation.short_description or ''} {documentation.long_description or ''}".split()
        )
        if not description:
            raise self._fault("needs a docstring that says what it does")
        if not NAME.fullmatch(self._name):
            raise self._fault("needs a name of at most 64 letters a to z, digits and _")
        texts = {one.arg_name: " ".join((one.description or "").split()) for one in documentation.params}
        parameters = self._described_parameters(texts)
        return {"description": description, "parameters": parameters, "returns": self._returns(), "line": self._line}

    def _described_parameters(self, texts: Mapping[str, str]) -> dict[str, Any]:
        schema = compact(self._json_schema())
        for part in parts(schema):
            if "properties" in part and part is not schema:
                part.setdefault("additionalProperties", False)  # type: ignore[attr-defined]
        schema.pop("additionalProperties", None)  # no tool takes others, and the trained form does not say so
        properties = schema.setdefault("properties", {})
        for name, parameter in self._parameters.items():
            if name not in properties:
                raise self._fault(f"has an alias for its parameter {name}, which must keep its own name")
            properties[name] = self._property(properties[name], parameter, texts.get(name))
        return schema

    def _returns(self) -> dict[str, Any] | None:
        """The schema of the result, with what the docstring says about it as the description."""
        from pydantic import TypeAdapter

        text = _returns_section(self._documentation)
        schema: dict[str, Any] = {}
        with suppress(Exception):  # a type that JSON has no form for is still a result
            schema = compact(TypeAdapter(self._hints["return"]).json_schema())
        schema.pop("description", None)
        if text:
            schema["description"] = text
        return schema if text or self._hints.get("return", type(None)) is not type(None) else None

    def converted(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as the types of the signature, by place and by name. Raises CallFault."""
        from pydantic import ValidationError

        try:
            named: dict[str, Any] = self._adapter.validate_python(dict(arguments))
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
            raise CallFault(f"the arguments do not fit: {'; '.join(faults[:5])}") from None
        places = [name for name, one in self._parameters.items() if one.kind is one.POSITIONAL_ONLY]
        return [named.pop(name) for name in places if name in named], named

    def _read_hints(self, function: Callable[..., Any]) -> dict[str, Any]:
        from typing_extensions import get_type_hints

        try:
            return get_type_hints(function, include_extras=True)
        except Exception as error:
            raise self._fault(f"has a type hint that cannot be read: {error}") from error

    def _check(self) -> None:
        for name, parameter in self._parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise self._fault(f"takes {parameter}, which has no schema; name its parameters one by one")
            if name not in self._hints:
                raise self._fault(f"needs a type hint for its parameter {name}")

    def _built(self) -> "TypeAdapter[Any]":
        """Validates a mapping that holds only what the model gave: the function knows its own defaults."""
        from pydantic import ConfigDict, TypeAdapter
        from typing_extensions import TypedDict

        fields = {
            name: self._hints[name] if one.default is one.empty else NotRequired[self._hints[name]]
            for name, one in self._parameters.items()
        }
        typed_dict: Any = TypedDict
        mapping = typed_dict(self._name, fields)
        mapping.__pydantic_config__ = ConfigDict(extra="forbid")
        try:
            return TypeAdapter(mapping)
        except Exception as error:
            raise self._fault(f"has {self._culprit()} that cannot be represented in JSON") from error

    def _json_schema(self) -> dict[str, Any]:
        try:
            return self._adapter.json_schema()
        except Exception as error:
            raise self._fault(f"has {self._culprit()} that cannot be represented in JSON") from error

    def _culprit(self) -> str:
        """The first parameter whose type alone cannot be described."""
        from pydantic import TypeAdapter

        for name in self._parameters:
            try:
                TypeAdapter(self._hints[name]).json_schema()
            except Exception:
                return f"a type for its parameter {name}"
        return "parameters"

    def _property(self, schema: dict[str, Any], parameter: inspect.Parameter, text: str | None) -> dict[str, Any]:
        if parameter.default is None:
            schema = _without_null(schema)
        elif parameter.default is not parameter.empty:
            schema = {**schema, "default": self._default(parameter)}
        description = text or schema.get("description")
        return {**_without(schema, "description"), "description": description} if description else schema

    def _default(self, parameter: inspect.Parameter) -> Any:
        from hermes_cli.tools.results import jsonable

        try:
            value = jsonable(parameter.default)
            json.dumps(value, allow_nan=False)
            return value
        except Exception as error:
            raise self._fault(f"has a default for {parameter.name} that cannot be represented in JSON") from error

    def _parsed_documentation(self) -> "Docstring":
        import docstring_parser

        try:
            with warnings.catch_warnings(action="ignore"):
                return docstring_parser.parse(self._documentation)
        except docstring_parser.ParseError as error:
            raise self._fault(f"has a docstring that cannot be read: {error}") from error

    def _fault(self, message: str) -> ToolFault:
        return ToolFault(message, self._line, self._name)


def _returns_section(documentation: str) -> str:
    """The `Returns:` section of a docstring as the trained prompts write it: its lines indented below the title."""
    found = _RETURNS.search(documentation)
    first, *rest = (found[1].strip() if found else "").split("\n")
    return "\n".join([first, *(f"    {line}" if line.strip() else "" for line in rest)]).rstrip()


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without the choice null: what may be None is left out by the model."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list):
        return schema
    others = [one for one in choices if one != {"type": "null"}]
    rest = _without(schema, "anyOf")
    return {**others[0], **rest} if len(others) == 1 else {**rest, "anyOf": others}


def _without(schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != key}
