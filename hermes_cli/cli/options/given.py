"""The options and settings of `ask` and `chat`, read before anything is opened."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import typer

from hermes_cli.chat.sampling import Sampling
from hermes_cli.errors import UsageError
from hermes_cli.store.settings.settings import Settings, load_settings
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.appearance import Appearance, use_appearance
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.formats.json.schema import Schema
    from hermes_cli.session.choices import Choices, Layers


@dataclass(frozen=True, slots=True)
class Given:
    """The options and settings of a command, read before anything is opened."""

    layers: "Layers"
    resume: str | None  # the session to continue, as `opening.begin` takes it
    files: tuple[str, ...]
    verbose: bool
    settings: Settings


def given(context: typer.Context) -> Given:
    """The options of `ask` or `chat`, from the parameters of the command, and the settings. Raises UsageError."""
    said = context.params
    console.use_color(said["color"] or "auto")
    settings = load_settings()
    console.use_color(said["color"] or settings.color)
    use_appearance(Appearance(settings.theme, settings.width, settings.thinking, settings.notify))
    from hermes_cli.session.sources import from_settings, with_model_defaults

    resume = _resume(said["continue_last"], said["session"])
    layers = with_model_defaults(replace(from_settings(settings), flags=_flags(said)))
    if said["preset"] is not None or said["var"] or settings.preset is not None or layers.tables:
        layers = _with_preset(layers, said["preset"], said["var"] or (), settings, resumed=resume is not None)
    return Given(layers, resume, tuple(said["file"] or ()), said["verbose"], settings)


def _flags(said: Mapping[str, Any]) -> "Choices":
    """The choices made by options, the strongest layer. Raises UsageError."""
    from hermes_cli.session.choices import Choices, Loading
    from hermes_cli.terminal.attachments.text_file import text_or_file

    if said["yes"] and said["deny"]:
        raise UsageError("--yes and --deny cannot be used together", "omit one of them")
    return Choices(
        model=said["model"],
        system_prompt=None if said["system"] is None else text_or_file(said["system"]),
        sampling=Sampling(**{each.name: said[each.name] for each in fields(Sampling)}),
        max_tokens=said["max_tokens"],
        overflow=said["overflow"],
        stop=tuple(said["stop"] or ()),
        tools=tuple(said["tools"] or ()) or None,
        mcp=tuple(said["mcp"] or ()) or None,
        tools_only=_listed(said["tools_only"]),
        tools_match=_listed(said["tools_match"]),
        tool_variables=tuple(said["tool_env"] or ()),
        tool_choice=said["tool_choice"],
        max_rounds=said["max_rounds"],
        tool_timeout_s=said["tool_timeout"],
        tool_policy="yes" if said["yes"] else "deny" if said["deny"] else "ask",
        schema=None if said["schema"] is None else _schema(said["schema"]),
        grammar=None if said["grammar"] is None else _grammar(said["grammar"]),
        constrained=not said["no_constrain"],
        load=Loading(
            said["ctx"],
            lora=tuple(said["lora"] or ()) or None,
            **{name: said[name] for name in ("gpu_layers", "kv_type", "threads", "template", "speculate")},
        ),
        save=False if said["no_save"] else None,
        endpoint=said["endpoint"],
        endpoint_mode=said["endpoint_mode"],
        extra_body=None if said["extra_body"] is None else _extra_body(said["extra_body"]),
    )


def _with_preset(
    layers: "Layers", name: str | None, pairs: Sequence[str], settings: Settings, *, resumed: bool
) -> "Layers":
    """With the preset named, otherwise with that of the settings if there is neither a prompt nor a session."""
    origin, of_model = "", False
    prompted = layers.flags.system_prompt is not None
    if name is None and not prompted and not resumed:
        name, origin, of_model = _default_preset(layers, settings)
    if name is None and not pairs:
        return layers
    from hermes_cli.session.sources import from_preset
    from hermes_cli.store.presets.presets import variable_values
    from hermes_cli.store.presets.server_prompts import chosen_preset

    values: Mapping[str, str] = variable_values(pairs)
    if name is None or (values and prompted):
        raise UsageError("--var needs a preset with variables", "name the preset with --preset, without --system")
    try:
        preset, values = chosen_preset(name, values)
        console.notice(*preset.notices)
        choices = from_preset(preset, values, with_prompt=not prompted)
        return layers.with_preset(replace(choices, model=None, endpoint=None) if of_model else choices)
    except UsageError as problem:
        problem.message += f" (the preset is set in {origin})" if origin else ""
        raise


def _listed(text: str | None) -> tuple[str, ...] | None:
    """The items of a comma-separated list; None if it is empty."""
    return tuple(filter(None, map(str.strip, (text or "").split(",")))) or None


def _default_preset(layers: "Layers", settings: Settings) -> tuple[str | None, str, bool]:
    """The preset where none is named, where it is set, and whether that is the table of the model in use."""
    if not settings.is_from_environment("preset"):
        for table in layers.tables:
            if "preset" in table.values:
                return table.values["preset"], table.origin, True
    return settings.preset, settings.origin("preset"), False


def _extra_body(text: str) -> dict[str, Any]:
    from hermes_cli.formats.json.mode import parsed
    from hermes_cli.terminal.attachments.text_file import text_or_file

    try:
        value = parsed(text_or_file(text))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError("--extra-body is not a JSON object", """write it like --extra-body '{"top_k": 20}'""")
    return value


def _grammar(name: str) -> str:
    """The text of a grammar file. Raises UsageError."""
    from hermes_cli.store.grammars import is_grammar, load_grammar

    if is_grammar(name):
        raise UsageError("--grammar takes a file, not a grammar", "write the grammar to a file: --grammar FILE")
    return load_grammar(name)


def _schema(text: str) -> "Schema":
    from hermes_cli.store.schemas import load_schema

    return load_schema(text.removeprefix("@"))


def _resume(continue_last: bool, session: str | None) -> str | None:
    """The session to continue, as `opening.begin` takes it. Raises UsageError."""
    if session is not None and continue_last:
        raise UsageError("--continue and --session cannot be used together", "omit one of them")
    from hermes_cli.session.choices import LAST_SESSION

    return LAST_SESSION if continue_last else session
