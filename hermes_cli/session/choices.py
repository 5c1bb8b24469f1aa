"""All choices of the user, the layers that can set them, and the rule that the first layer with a value wins."""

from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from hermes_cli.chat.sampling import SAMPLING_KEYS, Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.errors import UsageError
from hermes_cli.formats.json.schema import Schema
from hermes_cli.kv_types import KvType
from hermes_cli.store.settings.endpoints import Endpoint
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.store.settings.model_tables import ModelTable
    from hermes_cli.tools.approval import Policy
    from hermes_cli.tools.mcp_server import McpServer

LAST_SESSION = ""
_ANY_MODEL_HERE = ("local", "auto")  # endpoints with which a session without one keeps its model
_Part = TypeVar("_Part", "Choices", Sampling, "Loading")
Overflow = Literal["ask", "error", "drop"]  # of the context
LayerName = Literal["flags", "preset", "session", "environment", "defaults", "settings"]


@dataclass(frozen=True, slots=True)
class Loading:
    """How to open a model. `gpu_layers` is auto, all or a number; `kv_store_mb` limits the prompt caches on disk.

    `context_origin` names the file or variable that the context length comes from, if it is a setting.
    """

    context_length: int | None = None
    gpu_layers: str | None = None
    kv_type: KvType | None = None
    threads: int | None = None
    template: str | None = None
    kv_store_mb: int | None = None
    context_origin: str | None = None
    speculate: Literal["auto", "off"] | None = None
    lora: tuple[str, ...] | None = None  # LoRA adapters: FILE[:SCALE], or none


@dataclass(frozen=True, slots=True)
class Choices:
    """The values that one layer sets; None, in `sampling` and `load` too, means that it does not set the value."""

    model: str | None = None
    preset: str | None = None
    system_prompt: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    prefill: str | None = None  # begins every answer
    overflow: "Overflow | None" = None
    stop: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None  # files, and names of built-in tools
    mcp: tuple[str, ...] | None = None  # MCP servers: configured names, commands and URLs
    tools_only: tuple[str, ...] | None = None  # names and patterns of the tools to keep
    tools_match: tuple[str, ...] | None = None  # words, one of which a tool to keep has in its name or description
    tool_variables: tuple[str, ...] | None = None  # of the environment, which tools may see
    tool_choice: str | None = None  # auto, none, required or a tool's name
    max_rounds: int | None = None  # of tool calls in one turn
    tool_timeout_s: float | None = None  # of one tool call
    tool_policy: "Policy | None" = None
    schema: Schema | None = None
    grammar: str | None = None  # in GBNF
    constrained: bool | None = None
    load: Loading = field(default_factory=Loading)
    save: bool | None = None
    endpoint: str | None = None  # a server's address, the name of a configured one, local or auto
    endpoint_mode: str | None = None  # auto, raw or chat
    extra_body: Mapping[str, Any] | None = None  # more fields of every request to a server

    def session_settings(self) -> SessionSettings:
        """The part of these choices that a session's file saves."""
        mcp = self.mcp
        if mcp:
            from hermes_cli.tools.mcp_server import saved_name

            mcp = tuple(dict.fromkeys(map(saved_name, mcp)))
        return SessionSettings(
            self.model,
            self.preset,
            self.sampling,
            self.max_tokens,
            self.endpoint,
            self.load.lora,
            mcp,
            self.prefill or None,
        )


def resolved(*layers: Choices) -> Choices:
    """Each choice from the first layer that sets it; sampling and loading are resolved value by value.

    A schema and a grammar replace each other.
    """
    form = next((layer for layer in layers if (layer.schema, layer.grammar) != (None, None)), Choices())
    load = _first_set(tuple(layer.load for layer in layers))
    origins = (layer.load.context_origin for layer in layers if layer.load.context_length)
    return replace(
        _first_set(layers),
        sampling=_first_set(tuple(layer.sampling for layer in layers)),
        load=replace(load, context_origin=next(origins, None)),
        schema=form.schema,
        grammar=form.grammar,
    )


def _first_set(layers: tuple[_Part, ...]) -> _Part:
    """For each field the first value that is not None."""
    first: dict[str, Any] = {}
    for name in (each.name for each in fields(layers[0])):
        first[name] = next((value for layer in layers if (value := getattr(layer, name)) is not None), None)
    return replace(layers[0], **first)


@dataclass(frozen=True, slots=True)
class Layers:
    """The choices of each layer, the strongest first; a command replaces a layer and resolves again with `now`.

    `environment` holds variables, and in a running chat the choices before its latest command; `defaults` are those of
    the model. `origins` says where a value of `settings` comes from: the name of a file or of a variable. `endpoints`,
    `mcp_servers` and `models` are the tables of config.toml by name.
    """

    flags: Choices = field(default_factory=Choices)
    preset: Choices = field(default_factory=Choices)
    session: Choices = field(default_factory=Choices)
    environment: Choices = field(default_factory=Choices)
    defaults: Choices = field(default_factory=Choices)
    settings: Choices = field(default_factory=Choices)
    origins: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    mcp_servers: "Mapping[str, McpServer]" = field(default_factory=dict)
    models: "Mapping[str, ModelTable]" = field(default_factory=dict)
    tables: "tuple[ModelTable, ...]" = ()  # those of the model in use, which make `defaults`

    @property
    def by_name(self) -> dict[LayerName, Choices]:
        """The layers, the strongest first."""
        return {name: getattr(self, name) for name in get_args(LayerName)}

    @property
    def now(self) -> Choices:
        """The effective choices: all layers resolved."""
        return resolved(*self.by_name.values())

    @property
    def model_layer(self) -> LayerName | None:
        """The layer that names the model."""
        return next((name for name, layer in self.by_name.items() if layer.model), None)

    def origin_of(self, name: str) -> str | None:
        """The file, variable or table that sets `model`, `endpoint` or `template`; None if none of these does."""
        said = {layer: getattr(one.load if name == "template" else one, name) for layer, one in self.by_name.items()}
        layer = next((layer for layer, value in said.items() if value is not None), None)
        if layer == "defaults":
            return next((table.origin for table in self.tables if name in table.values), None)
        return self.origins.get(name) if layer in ("environment", "settings") else None

    @property
    def keeps_saved_preset(self) -> bool:
        """Whether a session is continued with the preset it was saved with: no other preset or prompt was given."""
        return self.preset.preset is None and self.flags.system_prompt is None

    def with_preset(self, preset: Choices) -> "Layers":
        """With the preset that an option or the settings name; options override it."""
        return replace(self, preset=preset, session=_without_preset(self.session, preset.preset))

    def with_session(self, session: Choices, preset: Choices) -> "Layers":
        """Continuing a saved session; `preset` holds the tools and the schema of the preset it was saved with."""
        endpoint = self.flags.endpoint or self.preset.endpoint
        if endpoint not in (None, session.endpoint, *(() if session.endpoint else _ANY_MODEL_HERE)):
            session = replace(session, model=None, load=Loading())  # the name is that of another place
        if (self.flags.model or self.preset.model) not in (None, session.model):
            session = replace(session, load=Loading())  # its adapters are for its own model
        if self.preset.preset is not None:
            return replace(self, session=_without_preset(session, self.preset.preset))
        if not self.keeps_saved_preset:
            return replace(self, session=replace(session, preset=None, system_prompt=None))
        return replace(self, session=session, preset=preset)

    def with_flag(self, **said: Any) -> "Layers":
        """With these values of the strongest layer replaced."""
        return replace(self, flags=replace(self.flags, **said))

    def with_model(self, name: str, *, with_adapters: bool) -> "Layers":
        """With another model in a running chat; the LoRA adapters stay only `with_adapters`."""
        changed = self.with_flag(model=name)
        return (
            changed if with_adapters else changed.in_each(lambda one: replace(one, load=replace(one.load, lora=None)))
        )

    def with_sampling(self, name: str, value: Any) -> "Layers":
        """With one value of the sampling in the strongest layer."""
        return self.with_flag(sampling=replace(self.flags.sampling, **{name: value}))

    def without(self, name: str) -> "Layers":
        """With one choice, or one sampling value, set in no layer, so that the built-in default applies."""

        unsaid: dict[str, Any] = {name: None}

        def silent(layer: Choices) -> Choices:
            if name in SAMPLING_KEYS:
                return replace(layer, sampling=replace(layer.sampling, **unsaid))
            return replace(layer, **unsaid)

        return self.in_each(silent)

    def in_each(self, change: Callable[[Choices], Choices]) -> "Layers":
        """With every layer changed."""
        changed: dict[str, Any] = {name: change(layer) for name, layer in self.by_name.items()}
        return replace(self, **changed)

    def then_preset(self, preset: Choices) -> "Layers":
        """With a preset chosen in a running chat, which overrides all earlier choices except the model."""
        session = _without_preset(self.session, preset.preset)
        preset = replace(preset, model=None, endpoint=None, load=replace(preset.load, lora=None))
        return self._above(resolved(self.flags, session, self.environment)).with_preset(preset)

    def then_session(self, session: Choices, preset: Choices) -> "Layers":
        """With a session loaded in a running chat, which overrides all earlier choices except the model."""
        session = replace(session, endpoint=None, load=Loading())
        now = replace(resolved(self.flags, self.environment), prefill=None)
        return self._above(now).with_session(session, preset)

    def _above(self, ground: Choices) -> "Layers":
        """New layers over the choices so far, without those of the earlier preset and session."""
        return replace(
            self,
            flags=Choices(model=self.now.model, endpoint=self.now.endpoint, load=Loading(lora=self.now.load.lora)),
            preset=Choices(),
            session=Choices(),
            environment=replace(ground, system_prompt=None, preset=None, tool_choice=None),
        )


def _without_preset(session: Choices, preset: str | None) -> Choices:
    """The choices of a session under a new preset: without its prompt, and without the sampling of its old preset."""
    if session.preset not in (None, preset):
        session = replace(session, sampling=Sampling(), max_tokens=None)
    return replace(session, preset=None, system_prompt=None)


def gpu_layer_count(value: str | None) -> int | None:
    """The layers for the GPU: auto is None, all is -1. Raises UsageError."""
    if value is None or value == "auto":
        return None
    if value == "all":
        return -1
    if not value.isascii() or not value.isdigit() or len(value) > 5 or int(value) > 10_000:
        raise UsageError(
            f"--gpu-layers {value} is not a number of layers", "give auto, all or a number such as 0 or 33"
        )
    return int(value)
