"""Options that several commands share, and the values made from them."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hermes_cli.chat.request import Sampling
from hermes_cli.errors import UsageError
from hermes_cli.terminal import console

if TYPE_CHECKING:
    from hermes_cli.cli.opening import ChatSettings

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
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature", "-t", metavar="T", min=0, max=100, help="0 always takes the likeliest token. [default: 0.8]"
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k", metavar="K", min=0, max=2**31 - 1, help="Choose among the K likeliest tokens; 0: all. [default: 50]"
    ),
]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", metavar="P", min=0, max=1, help="Keep the likeliest tokens up to this share. [default: 1]"),
]
MinP = Annotated[
    float | None,
    typer.Option("--min-p", metavar="P", min=0, max=1, help="Drop tokens below this share of the best. [default: 0]"),
]
RepeatPenalty = Annotated[
    float | None,
    typer.Option(
        "--repeat-penalty",
        metavar="R",
        min=0.01,
        max=100,
        help="Above 1: avoid the answer's last 64 tokens. [default: 1.1]",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Same seed, same answer. [default: random]"),
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", "-n", metavar="N", min=1, help="Stop the answer after N tokens.")
]
Stop = Annotated[list[str] | None, typer.Option("--stop", metavar="TEXT", help="Stop before this text (repeatable).")]
ContextLength = Annotated[
    int | None, typer.Option("--ctx", metavar="N", min=64, help="Window in tokens. [default: up to 8192, what fits]")
]
GpuLayers = Annotated[str, typer.Option("--gpu-layers", metavar="auto|all|N", help="How many layers the GPU computes.")]
CacheType = Annotated[Literal["f16", "q8_0"], typer.Option("--kv-type", help="Precision of the KV cache.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        max=512,
        help="Threads to compute with. [default: the physical cores; 1 for a tiny model]",
    ),
]
Template = Annotated[
    str, typer.Option("--template", metavar="auto|chatml|embedded|FILE", help="How the conversation is written.")
]
ColorChoice = Annotated[Literal["auto", "always", "never"], typer.Option("--color", help="Colours on the terminal.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Tell about the model on stderr.")]


def with_settings(command: Callable[..., int]) -> Callable[..., int]:
    """`command(settings, ...)` as Typer sees it: in the place of `settings` the options they are made from."""
    shared, own = inspect.signature(_settings).parameters, inspect.signature(command)
    _, *rest = own.parameters.values()
    parameters = [part.replace(kind=part.KEYWORD_ONLY) for part in (*shared.values(), *rest)]

    def run(**given: Any) -> int:
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
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    repeat_penalty: RepeatPenalty = None,
    seed: Seed = None,
    max_tokens: MaxTokens = None,
    stop: Stop = None,
    ctx: ContextLength = None,
    gpu_layers: GpuLayers = "auto",
    kv_type: CacheType = "f16",
    threads: Threads = None,
    template: Template = "auto",
    color: ColorChoice = "auto",
    verbose: Verbose = False,
) -> "ChatSettings":
    """What the options say, with the preset where they leave something open. Raises UsageError."""
    console.use_color(color)
    from hermes_cli.cli.opening import ChatSettings, with_preset
    from hermes_cli.cli.prompt_text import system_text
    from hermes_cli.engine.local_backend import LoadOptions

    settings = ChatSettings(
        model=model,
        system_prompt=system_text(system),
        files=tuple(file or ()),
        sampling=Sampling(temperature, top_k, top_p, min_p, repeat_penalty, seed),
        max_tokens=max_tokens,
        stop=tuple(stop or ()),
        load=LoadOptions(ctx, gpu_layer_count(gpu_layers), kv_type, threads, template),
        verbose=verbose,
    )
    return with_preset(settings, preset, variable_values(var or ()))


def variable_values(pairs: Iterable[str]) -> dict[str, str]:
    """`K=V` taken apart; what follows the first `=` is the value."""
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"--var {pair} is not NAME=VALUE", "write it like --var language=Greek")
        values[name] = value
    return values


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
