"""The choices of each layer: settings, defaults of the model, preset and saved session."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hermes_cli.chat.sampling import SAMPLING_KEYS, Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.session.choices import Choices, Layers, Loading, resolved
from hermes_cli.store.settings.settings import Settings

if TYPE_CHECKING:
    from hermes_cli.store.presets.presets import Preset
    from hermes_cli.store.settings.model_tables import ModelTable

_LOCAL = "local/"


def from_settings(settings: Settings) -> Layers:
    """The choices in config.toml and the environment, without their preset: that one applies only without a prompt."""
    environment = {name: settings.value(name) for name in settings.origins if settings.is_from_environment(name)}
    return Layers(
        environment=_settings(environment.get, settings),
        settings=_settings(settings.value, settings),
        origins=settings.origins,
        endpoints=settings.endpoints,
        mcp_servers=settings.mcp_servers,
        models=settings.models,
    )


def _settings(value: Callable[[str], Any], settings: Settings) -> Choices:
    """The choices in settings of which `value` returns those to use, by their keys."""
    return replace(
        _model_values(value, settings.origins.get("ctx")),
        model=value("model"),
        overflow=value("overflow"),
        tool_timeout_s=value("tool_timeout"),
        save=value("save"),
        endpoint=value("endpoint"),
    )


def _model_values(value: Callable[[str], Any], origin: str | None) -> Choices:
    """The choices that settings and the table of a model can both make; `origin` is that of the context length."""
    layers = value("gpu_layers")
    return Choices(
        sampling=Sampling(**{name: value(name) for name in SAMPLING_KEYS if name != "seed"}),
        max_tokens=value("max_tokens"),
        load=Loading(
            value("ctx"),
            None if layers is None else str(layers),
            value("kv_type"),
            value("threads"),
            value("template"),
            value("kv_store_mb"),
            origin,
            value("speculate"),
        ),
    )


def with_model_defaults(layers: Layers) -> Layers:
    """With the choices in the tables of config.toml for the model in use. Raises UsageError."""
    if not layers.models:
        return layers
    from hermes_cli.models.defaults import tables_for

    now, tables = layers.now, tuple["ModelTable", ...]()
    if now.endpoint in (None, "local", "auto"):  # a model on a server has none
        tables = tuple(tables_for(now.model and now.model.removeprefix(_LOCAL), layers.models))
    return replace(layers, tables=tables, defaults=resolved(*map(_from_table, tables)) if tables else Choices())


def _from_table(table: "ModelTable") -> Choices:
    choices = _model_values(table.values.get, table.origin)
    return replace(choices, load=replace(choices.load, lora=table.lora))


def from_preset(preset: "Preset", values: Mapping[str, str], *, with_prompt: bool = True) -> Choices:
    """The choices of a preset, with its variables filled in. Raises UsageError."""
    from hermes_cli.store.presets.presets import fill

    return replace(
        toolset(preset),
        model=preset.model or None,
        preset=preset.name,
        system_prompt=fill(preset, values) if with_prompt else None,
        sampling=preset.sampling,
        max_tokens=preset.max_tokens,
        endpoint=preset.endpoint,
        load=Loading(speculate=preset.speculate, lora=preset.lora or None),
    )


def toolset(preset: "Preset") -> Choices:
    """Only the tools and the schema or grammar of a preset. Raises UsageError."""
    from hermes_cli.store.presets.forms import grammar_of, schema_of

    return Choices(
        tools=preset.tools or None, mcp=preset.mcp or None, schema=schema_of(preset), grammar=grammar_of(preset)
    )


def from_session(settings: SessionSettings, system_prompt: str | None) -> Choices:
    """The choices that a saved session was answered with."""
    return Choices(
        settings.model or None,
        settings.preset,
        system_prompt,
        settings.sampling,
        settings.max_tokens,
        load=Loading(lora=settings.lora),
        endpoint=settings.endpoint,
        prefill=settings.prefill,
        mcp=None if settings.mcp is None else (),  # `opening.continued` adds those that are configured
    )
