"""The models of a server, as a table and as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hermes_cli.cli.lists import stdout
from hermes_cli.errors import UsageError

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

    target = find_target(Choices(endpoint=endpoint), load_settings().endpoints, {})
    if not isinstance(target, RemoteTarget):
        raise UsageError(f"{endpoint} is not a server", "give a URL such as http://localhost:8000")
    with closing(Client(target.address, target.key)) as client:
        return listed_models(client)


def print_models(models: "Sequence[ServedModel]", *, as_json: bool) -> None:
    """Print name, context length and owner of each."""
    if as_json:
        stdout.write_json(
            [{"name": one.id, "context_length": one.context_length, "owner": one.owner} for one in models]
        )
    else:
        rows = [(one.id, f"{one.context_length or ''}", one.owner) for one in models]
        stdout.write_rows(("name", "context", "owner"), rows, order=(0, 1, 2), elastic=0, right=(1,), wrap=False)
