"""Shell completion: the values that can follow an option or stand for an argument, each with a description."""

from collections.abc import Callable, Iterable
from functools import wraps

import typer

from hermes_cli.errors import HermesError

Words = Iterable[tuple[str, str]]


def _readable(words: Callable[[], Words]) -> Callable[[], Words]:
    """`words`, or none where they cannot be read: a shell shows no errors while it completes."""

    @wraps(words)
    def complete() -> Words:
        try:
            return list(words())
        except (HermesError, OSError):
            return ()

    return complete


@_readable
def models() -> Words:
    """Aliases, installed models and the demo model."""
    from hermes_cli.models.library import found_models
    from hermes_cli.models.model import demo_model

    here = ((model.name, str(model.path)) for model in (*found_models(), demo_model()) if not model.missing)
    return (*aliases(), *here)


@_readable
def aliases() -> Words:
    """Aliases and their models."""
    from hermes_cli.models.aliases import aliases as known

    return known().items()


@_readable
def downloads() -> Words:
    """Models that `hermes pull` knows by name."""
    from hermes_cli.models.catalog import catalog

    names = ((alias, model.title) for model in catalog() for alias in (model.name, *model.aliases))
    return (*aliases(), *names)


@_readable
def presets() -> Words:
    """Bundled presets and the user's own."""
    from hermes_cli.store.presets.presets import all_presets

    return ((preset.name, preset.description) for preset in all_presets()[0])


@_readable
def sessions() -> Words:
    """Ids of saved sessions, the last used first."""
    from hermes_cli.store.sessions.index import all_sessions

    return ((session.id, session.title) for session in all_sessions())


@_readable
def tools() -> Words:
    """Built-in tools."""
    from hermes_cli.tools.toolbox import built_in_names

    return ((name, "built in") for name in built_in_names())


@_readable
def mcp_servers() -> Words:
    """Configured MCP servers."""
    from hermes_cli.store.settings.settings import load_settings

    return ((server.name, server.shown_address) for server in load_settings().mcp_servers.values())


@_readable
def settings() -> Words:
    """Keys of settings."""
    from hermes_cli.store.settings.settings import KEYS

    return ((name, key.help) for name, key in KEYS.items())


def setting_values(context: typer.Context) -> Words:
    """Values of the setting that is named before: its choices, or names where it names something."""
    from hermes_cli.store.settings.settings import KEYS

    name = str(context.params.get("name") or "")
    named = {"model": models, "preset": presets}.get(name)
    if named:
        return named()
    key = KEYS.get(name)
    if key is None:
        return ()
    return [(choice, "") for choice in (("true", "false") if key.kind is bool else key.choices)]
