"""The form of the answers that a preset asks for: its schema or its grammar; paths are relative to its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hermes_cli.errors import UsageError
from hermes_cli.formats.json.schema import Schema
from hermes_cli.store.grammars import is_grammar, load_grammar
from hermes_cli.store.presets.presets import Preset

_Form = TypeVar("_Form", Schema, str)


def schema_of(preset: Preset) -> Schema | None:
    """The schema of a preset, if it has one. Raises UsageError."""
    if preset.schema is None:
        return None
    from hermes_cli.store.schemas import load_schema

    return _loaded(load_schema, preset.schema, preset)


def grammar_of(preset: Preset) -> str | None:
    """The grammar of a preset, if it has one. Raises UsageError."""
    if preset.grammar is None or is_grammar(preset.grammar):
        return preset.grammar
    return _loaded(load_grammar, preset.grammar, preset)


def _loaded(load: Callable[[str, Path], _Form], text: str, preset: Preset) -> _Form:
    try:
        return load(text, preset.path.parent)
    except UsageError as problem:
        problem.message += f" (in the preset {preset.path})"
        raise
