"""Aliases of models for `hermes models alias`: listed, added and removed."""

import sys

from hermes_cli.cli.lists import stdout
from hermes_cli.errors import ModelNotFound, UsageError, did_you_mean
from hermes_cli.models.aliases import aliases, tables_by_name
from hermes_cli.models.model import DEMO_NAME
from hermes_cli.store.settings import config_file
from hermes_cli.store.settings.model_tables import NAME
from hermes_cli.store.settings.settings import load_settings
from hermes_cli.terminal import console

_RESERVED = (DEMO_NAME, "local", "auto", "none")
_LIST = "list the aliases: hermes models alias"


def print_aliases() -> None:
    """Print all aliases and their models."""
    load_settings()
    found = sorted(aliases().items())
    if found or not console.is_terminal(sys.stdout):
        stdout.write_rows(("name", "model"), found, order=(0,), elastic=1)
    else:
        console.notice("there are no aliases; add one: hermes models alias NAME MODEL")


def target(name: str) -> str:
    """The model of an alias. Raises UsageError."""
    return aliases()[_known(name)]


def add(name: str, model: str) -> None:
    """Add or change an alias. Raises UsageError, ModelNotFound for what cannot be a model."""
    from hermes_cli.models import catalog
    from hermes_cli.models.choose import saved_name

    settings = load_settings()
    if not NAME.fullmatch(name):
        raise UsageError(f"{name} is not a name for an alias", "use letters, digits, . _ and -")
    if name.lower() in _RESERVED or name in settings.endpoints:
        raise UsageError(f"{name} is already in use and cannot be an alias", "choose another name")
    between = {table.name.lower() for table in tables_by_name(model, settings.models)}
    if name.lower() in {*between, model.lower()}:
        raise UsageError(f"the alias {name} would refer to itself", "name another model: hermes models")
    _check_target(model, settings.endpoints)
    config_file.put_in_table(("models", _written_name(name)), {"model": saved_name(model)})
    if catalog.look_up(name):
        console.notice(f"{name} is also in the catalog; from now on it means {model}")


def _check_target(model: str, endpoints: object) -> None:
    """Raise UsageError or ModelNotFound unless the model is local, can be downloaded or is on an endpoint."""
    from hermes_cli.models.choose import find_file
    from hermes_cli.models.names import reference

    if "/" in model and model.partition("/")[0] in endpoints:  # type: ignore[operator]
        return
    try:
        find_file(model)
    except ModelNotFound as problem:
        try:
            reference(model)
        except (ModelNotFound, UsageError):
            raise problem from None


def remove(name: str) -> None:
    """Remove an alias; other keys of its table stay. Raises UsageError."""
    config_file.remove_from_table(("models", _written_name(_known(name))), "model")


def _known(name: str) -> str:
    """The alias as it is written in the file. Raises UsageError."""
    load_settings()
    found = next((known for known in aliases() if known.lower() == name.lower()), None)
    if found is None:
        raise UsageError(f"there is no alias {name}", did_you_mean(name, aliases(), _LIST))
    return found


def _written_name(name: str) -> str:
    """The existing spelling of a name, which ignores case; else the name."""
    known = load_settings().models.get(name.lower())
    return known.name if known else name
