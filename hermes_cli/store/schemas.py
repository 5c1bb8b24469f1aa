"""`--schema` in all its forms: a file, a model in Python, JSON, or the short form."""

import os
import re
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import UsageError
from hermes_cli.files import check_hint
from hermes_cli.formats.json.check import checked
from hermes_cli.formats.json.schema import Schema
from hermes_cli.formats.json.short_form import MOST_BYTES, schema_from_json, schema_from_text
from hermes_cli.tools.child.worker import model_schema

_IN_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")
_ANY = "json"
_IN_FILE = re.compile(r"(?P<file>.+\.py):(?P<model>[^\W\d]\w*)", re.DOTALL)


def load_schema(text: str, folder: Path = Path()) -> Schema:
    """The JSON Schema in FILE.json, FILE.py:Model, module:Model, JSON or `name, age int`; `json` is any object.

    Raises UsageError. Paths are relative to `folder`. Python models are imported in a child process. Nothing is
    downloaded.
    """
    if text == _ANY:
        return {"type": "object"}
    in_file = _IN_FILE.fullmatch(text)
    if in_file:
        return checked(model_schema(in_file["model"], (folder / paths.expanded(in_file["file"])).absolute()), text)
    if _IN_MODULE.fullmatch(text):
        return checked(model_schema(text, None), text)
    if _names_a_file(text, folder):
        return schema_from_json(_content(folder / paths.expanded(text)), text)
    return schema_from_text(text)


def _names_a_file(text: str, folder: Path) -> bool:
    if text.lstrip().startswith("{") or "\n" in text:
        return False
    if text.endswith(".json") or (os.sep in text and "," not in text and ": " not in text):
        return True
    # A file without an extension could be the name of a field: it needs ./ in front
    return not text.isidentifier() and os.path.isfile(folder / text)  # noqa: PTH113 - pathlib raises for long texts


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read the schema {path}: {why}", check_hint(path)) from error
