"""Find the target that the choices name. Only its kind is imported: a server needs no engine and no models."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hermes_cli.session.choices import Choices
from hermes_cli.session.target.target import Target
from hermes_cli.store.settings.endpoints import Endpoint

if TYPE_CHECKING:
    from hermes_cli.store.settings.model_tables import ModelTable

LOCAL, AUTO = "local", "auto"


def find_target(
    choices: Choices,
    endpoints: Mapping[str, Endpoint],
    models: "Mapping[str, ModelTable]",
    *,
    chosen_by_user: bool = True,
) -> Target:
    """The target that the choices name: a configured endpoint by `-m work` or `-m work/MODEL`, or a model here.

    `-m local/MODEL` is always a model here. `endpoints` and `models` are tables of the settings.
    `chosen_by_user`: whether the endpoint was given by an option or a setting. Raises UsageError, ModelNotFound.
    """
    name, model = choices.endpoint, choices.model
    if model and name in (None, LOCAL, AUTO):
        from hermes_cli.models.aliases import without_alias

        model = without_alias(model, models)
    if model and (first := model.partition("/")[0]) in {*endpoints, LOCAL} and not os.path.isfile(model):  # noqa: PTH113 - a name is not a path
        name, model = first, model.partition("/")[2] or None
    if name is not None and name != LOCAL:
        from hermes_cli.session.target.remote import find_remote

        if remote := find_remote(name, model, choices, endpoints, chosen_by_user=chosen_by_user):
            return remote
    from hermes_cli.session.target.local import find_local

    return find_local(model, choices, models)
