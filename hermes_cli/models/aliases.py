"""Other names for models: the `[models.NAME]` tables of config.toml that have `model`."""

from collections.abc import Iterator, Mapping

from hermes_cli.errors import UsageError
from hermes_cli.models.model import DEMO_NAME
from hermes_cli.store.settings.model_tables import NAME, ModelTable
from hermes_cli.store.settings.settings import read_settings


def aliases() -> dict[str, str]:
    """What each alias stands for, by its name; none if config.toml cannot be used."""
    return {table.name: table.model for table in read_settings()[0].models.values() if table.model}


def without_alias(name: str, known: Mapping[str, ModelTable] | None = None) -> str:
    """What `name` stands for: itself, unless it is an alias. Raises UsageError for aliases in a circle.

    `known` are the tables of the settings, which are read if it is None.
    """
    if not NAME.fullmatch(name) or name.lower() == DEMO_NAME:
        return name  # the demo model, a path, a URL or a name on the hub: no need to read the file
    for table in tables_by_name(name, read_settings()[0].models if known is None else known):
        name = table.model or name
    return name


def tables_by_name(name: str, known: Mapping[str, ModelTable]) -> Iterator[ModelTable]:
    """The table of a name, then that of what it is an alias for, and so on. Raises UsageError for a circle."""
    first, seen = name, set[str]()
    while table := known.get(name.lower()):
        if name.lower() in seen:
            raise UsageError(f"the alias {first} refers to itself", f"remove it: hermes models alias --rm {first}")
        seen.add(name.lower())
        yield table
        if table.model is None:
            return
        name = table.model
