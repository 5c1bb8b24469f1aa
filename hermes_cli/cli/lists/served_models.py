"""The models of a server, as a table and as JSON."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hermes_cli.errors import UsageError
from hermes_cli.terminal import columns
from hermes_cli.terminal.columns import terminal_columns
from hermes_cli.terminal.sanitize import one_line

if TYPE_CHECKING:
    from hermes_cli.remote.probe import ServedModel


def served_models(endpoint: str) -> "Sequence[ServedModel]":
    """What the server at `endpoint`, a URL or a configured name, serves. Raises UsageError, EndpointError."""
    from contextlib import closing

    from hermes_cli.remote.client import Client
    from hermes_cli.remote.probe import listed_models
    from hermes_cli.session.choices import Choices
    from hermes_cli.session.target.find import find_target
    from hermes_cli.session.target.remote import RemoteTarget
    from hermes_cli.store.settings.settings import load_settings

    target = find_target(Choices(endpoint=endpoint), load_settings().endpoints)
    if not isinstance(target, RemoteTarget):
        raise UsageError(f"{endpoint} is not a server", "give a URL such as http://localhost:8000")
    with closing(Client(target.address, target.key)) as client:
        return listed_models(client)


def table(models: "Sequence[ServedModel]") -> str:
    """Aligned columns: name, context length, owner."""
    rows = [("name", "context", "owner")]
    rows += [(one_line(one.id), f"{one.context_length or ''}", one_line(one.owner)) for one in models]
    return columns.table(rows, terminal_columns(sys.stdout), order=(0, 1, 2), elastic=0, right=(1,), wrap=False)


def tab_separated(models: "Sequence[ServedModel]") -> str:
    """A line each: name, context length, owner."""
    return "".join(f"{one_line(one.id)}\t{one.context_length or ''}\t{one_line(one.owner)}\n" for one in models)


def as_json(models: "Sequence[ServedModel]") -> str:
    """One list of objects."""
    objects = [{"name": one.id, "context_length": one.context_length, "owner": one.owner} for one in models]
    return json.dumps(objects, ensure_ascii=False, indent=2) + "\n"
