"""The defaults of a model: which `[models.NAME]` tables of config.toml are for it."""

from collections.abc import Mapping
from pathlib import Path

from hermes_cli.errors import ModelNotFound, UsageError
from hermes_cli.models.aliases import tables_by_name
from hermes_cli.models.choose import find_model
from hermes_cli.store.settings.model_tables import ModelTable


def tables_for(name: str | None, known: Mapping[str, ModelTable]) -> list[ModelTable]:
    """The tables for the model `name`, the strongest first; None is the default model.

    First those of the name itself and of what it is an alias for, then those that name the same file in another way.
    Raises UsageError for aliases in a circle.
    """
    found = list(tables_by_name(name, known)) if name else []
    others = [table for table in known.values() if table.model is None and table not in found]
    path = _path(name, known) if others else None
    return found + [table for table in others if path and _path(table.name, known) == path]


def _path(name: str | None, known: Mapping[str, ModelTable]) -> Path | None:
    try:
        return find_model(name, known).path
    except (ModelNotFound, UsageError):
        return None
