"""The options that several commands share, each as the annotation of a parameter."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from hermes_cli.chat.key import Key
from hermes_cli.chat.sampling import SAMPLING_KEYS, SamplingKey
from hermes_cli.cli import completion
from hermes_cli.errors import UsageError
from hermes_cli.kv_types import KvType
from hermes_cli.store.settings.settings import KEYS

MODEL, PROMPT, SESSION, SAMPLING = "Model", "Prompt", "Session", "Sampling"
TOOLS, OUTPUT, LOADING = "Tools and JSON", "Output", "Loading"


def within(flag: str, low: float, high: float) -> Callable[[Any], Any]:
    """The check of the numbers an option takes; unlike Typer's own it refuses nan, and adds no range to the help."""

    def check(value: Any) -> Any:
        for number in value if isinstance(value, list) else () if value is None else (value,):
            if not low <= number <= high:
                hint = f"give a number from {_plain(low)} to {_plain(high)}"
                raise UsageError(f"{flag} cannot be {_plain(number)}", hint)
        return value

    return check


def _plain(number: float) -> str:
    """A number as people write it: whole ones with all their digits."""
    return f"{number:g}" if isinstance(number, float) and not number.is_integer() else str(int(number))


def setting(*flags: str, group: str = SAMPLING, metavar: str | None = None) -> Any:
    """An option that is a setting or a value of the sampling: all but its name is from their table."""
    name, hidden = flags[0].removeprefix("--").replace("-", "_"), False
    key = SAMPLING_KEYS.get(name) or KEYS[name]
    if isinstance(key, SamplingKey):
        metavar, hidden = key.metavar, bool(key.group)
    read = check = None
    if key.meanings or key.pattern:
        read = functools.partial(key.from_text, origin=flags[0])
    elif key.low is not None and key.high is not None and not key.choices:
        check = within(flags[0], key.low, key.high)
    return typer.Option(
        *flags, metavar=metavar, parser=read, callback=check, help=help_of(key), hidden=hidden, rich_help_panel=group
    )


def help_of(key: Key) -> str:
    """The help of an option that is a setting too, with its default."""
    return f"{key.help} [default: {key.standard}]" if key.standard else key.help


def _gpu_layers(value: str | None) -> str | None:
    from hermes_cli.session.choices import gpu_layer_count

    gpu_layer_count(value)
    return value


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        autocompletion=completion.models,
        help="Model to use: a name or the path of a GGUF file.",
        rich_help_panel=MODEL,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        autocompletion=completion.models,
        help="Model to use: a name or the path of a GGUF file (repeatable).",
        rich_help_panel=MODEL,
    ),
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL|NAME",
        help="Use this OpenAI-compatible server instead of a local model.",
        rich_help_panel=MODEL,
    ),
]
ToolVariables = Annotated[
    list[str] | None,
    typer.Option(
        "--tool-env",
        metavar="NAME",
        help="Pass this environment variable to tools (repeatable).",
        rich_help_panel=TOOLS,
    ),
]
AllowAll = Annotated[bool, typer.Option("--yes", help="Run every tool without asking.", rich_help_panel=TOOLS)]
Unconstrained = Annotated[
    bool,
    typer.Option(
        "--no-constrain",
        help="Do not constrain tool calls and JSON during generation; only check them afterwards.",
        rich_help_panel=TOOLS,
    ),
]
ColorChoice = Annotated[Literal["auto", "always", "never"] | None, setting("--color", group=OUTPUT)]
Lora = Annotated[
    list[str] | None,
    typer.Option(
        "--lora",
        metavar="FILE[:SCALE]",
        help="Apply this LoRA adapter (repeatable); none applies no adapter.",
        rich_help_panel=LOADING,
    ),
]
ContextLength = Annotated[int | None, setting("--ctx", metavar="N", group=LOADING)]
GpuLayers = Annotated[
    str | None,
    typer.Option(
        "--gpu-layers",
        metavar="auto|all|N",
        callback=_gpu_layers,
        help=f"{KEYS['gpu_layers'].help} [default: {KEYS['gpu_layers'].standard}]",
        rich_help_panel=LOADING,
    ),
]
CacheType = Annotated[KvType | None, setting("--kv-type", group=LOADING)]
Threads = Annotated[int | None, setting("--threads", metavar="N", group=LOADING)]
Speculate = Annotated[Literal["auto", "off"] | None, setting("--speculate", group=LOADING)]
Template = Annotated[str | None, setting("--template", metavar="auto|chatml|embedded|FILE", group=LOADING)]
