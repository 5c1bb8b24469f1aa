"""Options that several commands share, and the values made from them."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hermes_cli.chat.request import MOST_ROUNDS, Sampling
from hermes_cli.errors import UsageError
from hermes_cli.store.settings.settings import KEYS, Settings, load_settings
from hermes_cli.terminal import console

if TYPE_CHECKING:
    from hermes_cli.engine.load_options import LoadOptions
    from hermes_cli.formats.json.schema import Schema
    from hermes_cli.session.choices import ChatSettings, ToolSettings


def _option(name: str, *names: str, metavar: str | None = None) -> Any:
    """The option for what is a setting too: its range, its help and its default from the table of settings."""
    key = KEYS[name]
    default = f" [default: {key.standard}]" if key.standard else ""
    low, high = (None, None) if key.choices else (key.low, key.high)
    flags = (f"--{name.replace('_', '-')}", *names)
    return typer.Option(*flags, metavar=metavar, help=key.help + default, min=low, max=high)


Model = Annotated[
    str | None, typer.Option("--model", "-m", metavar="NAME|PATH", help="A model's name, or the path of a GGUF file.")
]
System = Annotated[
    str | None, typer.Option("--system", "-s", metavar="TEXT", help="The system prompt; @FILE reads it from a file.")
]
Preset = Annotated[
    str | None, typer.Option("--preset", "-p", metavar="NAME", help="A preset: system prompt, sampling, perhaps model.")
]
Variables = Annotated[
    list[str] | None, typer.Option("--var", metavar="K=V", help="Fill in a variable of the preset (repeatable).")
]
Files = Annotated[
    list[Path] | None, typer.Option("--file", "-f", metavar="PATH", help="Add a file to the prompt (repeatable).")
]
Continue = Annotated[bool, typer.Option("--continue", "-c", help="Go on with the last session.")]
SessionName = Annotated[str | None, typer.Option("--session", metavar="ID|NAME|PATH", help="Go on with this session.")]
NoSave = Annotated[bool, typer.Option("--no-save", help="Keep no file of this session.")]
Temperature = Annotated[float | None, _option("temperature", "-t", metavar="T")]
TopK = Annotated[int | None, _option("top_k", metavar="K")]
TopP = Annotated[float | None, _option("top_p", metavar="P")]
MinP = Annotated[float | None, _option("min_p", metavar="P")]
RepeatPenalty = Annotated[float | None, _option("repeat_penalty", metavar="R")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Same seed, same answer. [default: random]"),
]
MaxTokens = Annotated[int | None, _option("max_tokens", "-n", metavar="N")]
Stop = Annotated[list[str] | None, typer.Option("--stop", metavar="TEXT", help="Stop before this text (repeatable).")]
ContextLength = Annotated[int | None, _option("ctx", metavar="N")]
GpuLayers = Annotated[str | None, _option("gpu_layers", metavar="auto|all|N")]
CacheType = Annotated[Literal["f16", "q8_0"] | None, _option("kv_type")]
Threads = Annotated[int | None, _option("threads", metavar="N")]
Template = Annotated[str | None, _option("template", metavar="auto|chatml|embedded|FILE")]
ColorChoice = Annotated[Literal["auto", "always", "never"] | None, _option("color")]
Tools = Annotated[
    list[str] | None,
    typer.Option("--tools", metavar="FILE|NAME", help="Tools the model may call: FILE.py, .json, a name (repeatable)."),
]
ToolVariables = Annotated[
    list[str] | None, typer.Option("--tool-env", metavar="NAME", help="Let tools see this variable (repeatable).")
]
ToolChoice = Annotated[
    str, typer.Option("--tool-choice", metavar="auto|none|required|NAME", help="Whether the model must call a tool.")
]
MostRounds = Annotated[
    int, typer.Option("--max-rounds", metavar="N", min=1, max=1000, help="Rounds of calls before it must answer.")
]
Unconstrained = Annotated[
    bool, typer.Option("--no-constrain", help="Let calls and JSON be written freely, and check them after.")
]
AllowAll = Annotated[bool, typer.Option("--yes", help="Let every tool run without asking.")]
DenyAll = Annotated[bool, typer.Option("--deny", help="Let no tool run.")]
SchemaText = Annotated[
    str | None,
    typer.Option("--schema", metavar="FILE|MODULE:MODEL|FIELDS", help="Answer in JSON: a schema, or name, age int."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Tell about the model on stderr.")]


def with_settings(command: Callable[..., int]) -> Callable[..., int]:
    """`command(settings, ...)` as Typer sees it: in the place of `settings` the options they are made from."""
    shared, own = inspect.signature(_settings).parameters, inspect.signature(command)
    _, *rest = own.parameters.values()
    parameters = [part.replace(kind=part.KEYWORD_ONLY) for part in (*shared.values(), *rest)]

    def run(**given: Any) -> int:
        for name, value in given.items():
            if value != value:  # it is within no range, and Typer lets it pass through all of them
                raise UsageError(f"--{name.replace('_', '-')} cannot be nan", "give a number")
        settings = _settings(**{name: given.pop(name) for name in shared})
        return command(settings, **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {part.name: part.annotation for part in parameters}
    return run


def _settings(
    model: Model = None,
    preset: Preset = None,
    var: Variables = None,
    system: System = None,
    file: Files = None,
    continue_last: Continue = False,
    session: SessionName = None,
    no_save: NoSave = False,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    repeat_penalty: RepeatPenalty = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
    stop: Stop = None,
    ctx: ContextLength = None,
    gpu_layers: GpuLayers = None,
    kv_type: CacheType = None,
    threads: Threads = None,
    template: Template = None,
    tools: Tools = None,
    tool_env: ToolVariables = None,
    tool_choice: ToolChoice = "auto",
    max_rounds: MostRounds = MOST_ROUNDS,
    yes: AllowAll = False,
    deny: DenyAll = False,
    schema: SchemaText = None,
    no_constrain: Unconstrained = False,
    color: ColorChoice = None,
    verbose: Verbose = False,
) -> "ChatSettings":
    """What the options say, with the preset, then the user's own defaults where they leave something open.

    For a session that is resumed the defaults wait: what it was led with goes before them. Raises UsageError.
    """
    console.use_color(color or "auto")
    defaults = load_settings()
    console.use_color(color or defaults.color)
    from hermes_cli.chat.settings import SessionSettings
    from hermes_cli.cli.prompt_text import system_text
    from hermes_cli.session.choices import ChatSettings, with_defaults

    save = defaults.save and not no_save
    load = load_options(defaults, ctx, gpu_layers, kv_type, threads, template)
    settings = ChatSettings(
        model=model,
        system_prompt=system_text(system),
        files=tuple(file or ()),
        sampling=Sampling(temperature, top_k, top_p, min_p, repeat_penalty, seed),
        max_tokens=max_tokens,
        stop=tuple(stop or ()),
        # What was read holds the text of the conversation too.
        load=load if save else replace(load, kv_store_bytes=0),
        verbose=verbose,
        resume=_resumed(continue_last, session),
        save=save,
        defaults=defaults,
        tools=_tool_settings(tools or (), tool_env or (), tool_choice, max_rounds, yes, deny),
        schema=_schema(schema),
        constrained=not no_constrain,
    )
    own = with_defaults(settings)
    settings = replace(settings, own=SessionSettings(sampling=own.sampling, max_tokens=own.max_tokens))
    settings = _with_preset(settings, preset, _variables(var or ()))
    return settings if settings.resume is not None else with_defaults(settings)


def load_options(
    defaults: Settings,
    ctx: int | None = None,
    gpu_layers: str | None = None,
    kv_type: Literal["f16", "q8_0"] | None = None,
    threads: int | None = None,
    template: str | None = None,
) -> "LoadOptions":
    """How to open a model: as given here, else as the user's own defaults say. Raises UsageError."""
    from hermes_cli.engine.load_options import LoadOptions

    layers = gpu_layer_count(str(defaults.gpu_layers) if gpu_layers is None else gpu_layers)
    return LoadOptions(
        ctx or defaults.ctx,
        layers,
        kv_type or defaults.kv_type,
        threads or defaults.threads,
        template or defaults.template,
        kv_store_bytes=defaults.kv_store_mb << 20,
    )


def _tool_settings(
    sources: Sequence[str], variables: Sequence[str], choice: str, most_rounds: int, yes: bool, deny: bool
) -> "ToolSettings":
    """What the options say about tools. Raises UsageError."""
    from hermes_cli.session.choices import ToolSettings

    if yes and deny:
        raise UsageError("--yes and --deny do not go together", "leave one of them out")
    return ToolSettings(
        tuple(sources), tuple(variables), choice, most_rounds, "yes" if yes else "deny" if deny else "ask"
    )


def _schema(text: str | None) -> "Schema | None":
    if text is None:
        return None
    from hermes_cli.store.schemas import load_schema

    return load_schema(text)


def _resumed(continue_last: bool, session: str | None) -> str | None:
    """Which session to go on with, as `ChatSettings.resume` says it."""
    from hermes_cli.session.choices import LAST_SESSION

    if session is not None and continue_last:
        raise UsageError("--continue and --session do not go together", "leave one of them out")
    if session is not None and not session.strip():
        raise UsageError("--session names no session", "give its id, its name or its file; the last one: --continue")
    return LAST_SESSION if continue_last else session


def _with_preset(settings: "ChatSettings", given: str | None, values: dict[str, str]) -> "ChatSettings":
    """With the preset given, else the user's own where there is neither a system prompt nor a session that has one."""
    from hermes_cli.session.choices import with_preset

    if given is not None or settings.system_prompt is not None or settings.resume is not None:
        return with_preset(settings, given, values)
    try:
        return with_preset(settings, settings.defaults.preset, values)
    except UsageError as problem:
        if settings.defaults.preset:
            problem.message += f" (the preset is set in {settings.defaults.origin('preset')})"
        raise


def _variables(pairs: Sequence[str]) -> dict[str, str]:
    if not pairs:
        return {}
    from hermes_cli.store.presets.presets import variable_values

    return variable_values(pairs)


def gpu_layer_count(value: str) -> int | None:
    """`auto` is None, `all` is -1."""
    named = {"auto": None, "all": -1}
    if value in named:
        return named[value]
    if not value.isascii() or not value.isdigit() or int(value) > 10_000:
        raise UsageError(
            f"--gpu-layers {value} is not a number of layers", "give auto, all or a number such as 0 or 33"
        )
    return int(value)
