"""What `ask` and `chat` were told: options, then a preset's or a session's values, then the user's own defaults."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_cli.chat.request import MOST_REPAIRS, MOST_ROUNDS, Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.engine.load_options import LoadOptions
from hermes_cli.errors import UsageError
from hermes_cli.formats.json.schema import Schema
from hermes_cli.store.settings.settings import Settings

if TYPE_CHECKING:
    from hermes_cli.tools.approval import Policy

if TYPE_CHECKING:
    from hermes_cli.store.presets.presets import Preset
    from hermes_cli.store.sessions.reader import SavedSession

LAST_SESSION = ""


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """Which tools the model may call, and how far it may go.

    `sources` are files and names of built-in tools; of the environment these see what is harmless, and `variables`.
    """

    sources: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    choice: str = "auto"
    most_rounds: int = MOST_ROUNDS
    policy: "Policy" = "ask"


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What `ask` and `chat` were told, decided before anything is loaded."""

    model: str | None = None
    system_prompt: str | None = None
    files: tuple[Path, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    load: LoadOptions = field(default_factory=LoadOptions)
    verbose: bool = False
    preset: str | None = None
    resume: str | None = None  # the session to go on with: LAST_SESSION, an id, a name or a path
    saved: "SavedSession | None" = None  # that session, once it is read
    save: bool = True
    defaults: Settings = field(default_factory=Settings)
    tools: ToolSettings = field(default_factory=ToolSettings)
    schema: Schema | None = None
    own: SessionSettings = field(default_factory=SessionSettings)  # what flags and defaults say without a preset
    own_offer: tuple[tuple[str, ...], Schema | None] | None = None  # tools and schema without those of the preset
    most_repairs: int = MOST_REPAIRS
    constrained: bool = True


def where_open(
    settings: ChatSettings,
    model: str | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    max_tokens: int | None = None,
) -> ChatSettings:
    """The settings with these values where they leave something open."""
    given = {key: value for key, value in asdict(settings.sampling).items() if value is not None}
    return replace(
        settings,
        model=settings.model or model,
        sampling=replace(sampling, **given),
        max_tokens=settings.max_tokens or max_tokens,
    )


def with_defaults(settings: ChatSettings) -> ChatSettings:
    """The settings with the user's own defaults where flags, preset and resumed session leave something open."""
    own = settings.defaults
    sampling = Sampling(own.temperature, own.top_k, own.top_p, own.min_p, own.repeat_penalty)
    return where_open(settings, own.model, sampling, own.max_tokens)


def with_preset(settings: ChatSettings, name: str | None, values: Mapping[str, str]) -> ChatSettings:
    """The settings with a preset's where they leave something open. Raises UsageError."""
    if values and (name is None or settings.system_prompt is not None):
        raise UsageError("--var has no preset's prompt to fill", "name the preset with --preset, without --system")
    if name is None:
        return settings
    from hermes_cli.store.presets.presets import fill, find_preset

    preset = find_preset(name)
    prompt = fill(preset, values) if settings.system_prompt is None else settings.system_prompt
    named = replace(with_offer(settings, preset), preset=name, system_prompt=prompt)
    return where_open(named, preset.model, preset.sampling, preset.max_tokens)


def with_offer(settings: ChatSettings, preset: "Preset") -> ChatSettings:
    """The settings with a preset's tools and schema where they have none. Raises UsageError."""
    from hermes_cli.store.presets.presets import schema_of

    return replace(
        settings,
        tools=settings.tools if settings.tools.sources else replace(settings.tools, sources=preset.tools),
        schema=schema_of(preset) if settings.schema is None else settings.schema,
        own_offer=(settings.tools.sources, settings.schema),
    )
