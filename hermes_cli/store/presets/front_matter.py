"""Parses text that begins with YAML between two `---` lines, with errors worded for its author."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from hermes_cli import paths
from hermes_cli.errors import did_you_mean

_BLOCK = re.compile(r"---[ \t]*\n(?P<yaml>.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


class Fault(ValueError):
    """An error in the text: a phrase that follows the name of the file."""


class TextLoader(yaml.BaseLoader):
    """Scalars stay text as written (`no`, `1.10`, `2024-01-01`), except null; duplicate keys are errors."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        mapping: dict[object, object] = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(problem="a duplicate key", problem_mark=node.start_mark)
        return mapping


_NULL = "tag:yaml.org,2002:null"
TextLoader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|)$"), ["~", "n", ""])
TextLoader.add_constructor(_NULL, lambda loader, node: None)


def read(source: str, loader: type[TextLoader] = TextLoader) -> tuple[dict[object, object], str]:
    """The front matter's keys and values (text, None, lists and mappings), and the text after it. Raises Fault."""
    found = _BLOCK.match(source)
    if not found:
        raise Fault("has no front matter: description and settings between two `---` lines at the top")
    try:
        fields = yaml.load(found["yaml"], loader)
    except yaml.YAMLError as error:
        raise Fault(_in_words(error)) from error
    except RecursionError as error:
        raise Fault("has front matter that is nested too deeply") from error
    if not isinstance(fields, dict | None):
        raise Fault("needs `key: value` lines as its front matter")
    return fields or {}, source[found.end() :]


def check_keys(fields: Mapping[object, object], known: Collection[str], where: str = "") -> None:
    """Raise Fault for an unknown key; `where` follows its name."""
    for key in fields:
        if key not in known:
            hint = did_you_mean(str(key), known, f"known are {', '.join(known)}")
            raise Fault(f"has the unknown key {key}{where}; {hint}")


def mapping(fields: Mapping[object, object], key: str, where: str = "") -> Mapping[object, object]:
    """The mapping under a key, empty if the key is missing. Raises Fault."""
    value = fields.get(key)
    if not isinstance(value, dict | None):
        raise Fault(f"needs indented `name: value` lines under {key}{where}")
    return value or {}


def text(key: str, value: object) -> str | None:
    """A value that is text or missing. Raises Fault."""
    if not isinstance(value, str | None):
        raise Fault(f"needs text for {key}, not a list or a mapping")
    return value


def texts(key: str, value: object) -> tuple[str, ...]:
    """One text or a list of texts. Raises Fault."""
    found = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, str) and one for one in found):
        raise Fault(f"needs text or a list of texts for {key}")
    return tuple(found)


def tools(value: object, folder: Path) -> tuple[str, ...]:
    """One tool or a list, as `--tools` accepts them; paths are relative to `folder`. Raises Fault."""
    found: list[str] = []
    for tool in value if isinstance(value, list) else [] if value is None else [value]:
        if not isinstance(tool, str) or not tool:
            raise Fault("needs a file, a name or a list of them for tools")
        file = paths.expanded(tool)
        found.append(str(folder / file) if file.suffix in (".py", ".json") else tool)
    return tuple(found)


def _in_words(error: yaml.YAMLError) -> str:
    """The error with its line in the file; the front matter begins on line 2."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"has an error in line {error.problem_mark.line + 2}: {error.problem}"
    return f"has invalid front matter: {error}"
