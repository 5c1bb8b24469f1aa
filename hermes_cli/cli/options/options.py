"""The options that `ask`, `chat` and other commands share, and the choices made from them.

A new option of `ask` and `chat` is an alias here and a parameter there; `given` reads it by the parameter's name.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from hermes_cli.chat.key import Key
from hermes_cli.cli import completion
from hermes_cli.errors import UsageError
from hermes_cli.kv_types import KvType
from hermes_cli.store.settings.settings import KEYS

MODEL, PROMPT, SESSION, SAMPLING = "Model", "Prompt", "Session", "Sampling"
TOOLS, OUTPUT, LOADING = "Tools and JSON", "Output", "Loading"


def within(flag: str, low: float, high: float) -> Callable[[Any], Any]:
    """The check of a number an option takes; unlike Typer's own it refuses nan, and adds no range to the help."""

    def check(value: Any) -> Any:
        if value is not None and not low <= value <= high:
            raise UsageError(f"{flag} cannot be {_plain(value)}", f"give a number from {_plain(low)} to {_plain(high)}")
        return value

    return check


def _plain(number: float) -> str:
    """A number as people write it: whole ones with all their digits."""
    return f"{number:g}" if isinstance(number, float) and not number.is_integer() else str(int(number))


def _number(*flags: str, low: float, high: float, metavar: str, group: str, help: str) -> Any:
    check = within(flags[0], low, high)
    return typer.Option(*flags, metavar=metavar, callback=check, help=help, rich_help_panel=group)


def _setting(*flags: str, group: str, metavar: str | None = None) -> Any:
    """An option that is a setting too: help, default and range are those of the table of settings."""
    key = KEYS[flags[0].removeprefix("--").replace("-", "_")]
    check = None
    if key.low is not None and key.high is not None and not key.choices:
        check = within(flags[0], key.low, key.high)
    return typer.Option(*flags, metavar=metavar, callback=check, help=help_of(key), rich_help_panel=group)


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
        help="A model's name, or the path of a GGUF file.",
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
        help="A model's name, or the path of a GGUF file (repeatable).",
        rich_help_panel=MODEL,
    ),
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL|NAME",
        help="Use this OpenAI-compatible server instead of a model here.",
        rich_help_panel=MODEL,
    ),
]
EndpointMode = Annotated[
    Literal["auto", "raw", "chat"] | None,
    typer.Option(
        "--endpoint-mode",
        help="Send prompts as token ids (raw) or as messages (chat). [default: auto, by a probe]",
        rich_help_panel=MODEL,
    ),
]
ExtraBody = Annotated[
    str | None,
    typer.Option(
        "--extra-body", metavar="JSON", help="Add these fields to requests to the server.", rich_help_panel=MODEL
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        "-p",
        metavar="NAME",
        autocompletion=completion.presets,
        help="Use a preset: system prompt, sampling and, if it names them, model, tools and schema.",
        rich_help_panel=PROMPT,
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="K=V", help="Set a variable of the preset (repeatable).", rich_help_panel=PROMPT),
]
System = Annotated[
    str | None,
    typer.Option(
        "--system", "-s", metavar="TEXT", help="Set the system prompt; @FILE reads it.", rich_help_panel=PROMPT
    ),
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH",
        help="Add a file to the prompt (repeatable).",
        rich_help_panel=PROMPT,
    ),
]
Continue = Annotated[bool, typer.Option("--continue", "-c", help="Continue the last session.", rich_help_panel=SESSION)]
SessionName = Annotated[
    str | None,
    typer.Option(
        "--session",
        metavar="ID|NAME|PATH",
        autocompletion=completion.sessions,
        help="Continue this session.",
        rich_help_panel=SESSION,
    ),
]
OverflowChoice = Annotated[Literal["ask", "error", "drop"] | None, _setting("--overflow", group=SESSION)]
NoSave = Annotated[bool, typer.Option("--no-save", help="Do not save this session.", rich_help_panel=SESSION)]
MaxTokens = Annotated[int | None, _setting("--max-tokens", "-n", metavar="N", group=SAMPLING)]
Stop = Annotated[
    list[str] | None,
    typer.Option("--stop", metavar="TEXT", help="Stop before this text (repeatable).", rich_help_panel=SAMPLING),
]
Tools = Annotated[
    list[str] | None,
    typer.Option(
        "--tools",
        autocompletion=completion.tools,
        metavar="FILE|NAME",
        help="Let the model call these tools: FILE.py, FILE.json or a built-in name (repeatable).",
        rich_help_panel=TOOLS,
    ),
]
Mcp = Annotated[
    list[str] | None,
    typer.Option(
        "--mcp",
        metavar="NAME|COMMAND|URL",
        autocompletion=completion.mcp_servers,
        help="Let the model call the tools of this MCP server (repeatable).",
        rich_help_panel=TOOLS,
    ),
]
ToolsOnly = Annotated[
    str | None,
    typer.Option(
        "--tools-only",
        metavar="NAMES",
        help="Keep only these tools, separated by commas; * stands for any characters.",
        rich_help_panel=TOOLS,
    ),
]
ToolsMatch = Annotated[
    str | None,
    typer.Option(
        "--tools-match",
        metavar="WORDS",
        help="Keep only tools with one of these words in name or description, separated by commas.",
        rich_help_panel=TOOLS,
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
ToolChoice = Annotated[
    str,
    typer.Option(
        "--tool-choice",
        metavar="auto|none|required|NAME",
        help="Whether the model may, must not or must call a tool.",
        rich_help_panel=TOOLS,
    ),
]
ToolTimeout = Annotated[float | None, _setting("--tool-timeout", group=TOOLS, metavar="S")]
MaxRounds = Annotated[
    int,
    _number(
        "--max-rounds",
        low=1,
        high=1000,
        metavar="N",
        group=TOOLS,
        help="Maximum rounds of tool calls before the model must answer.",
    ),
]
AllowAll = Annotated[bool, typer.Option("--yes", help="Run every tool without asking.", rich_help_panel=TOOLS)]
DenyAll = Annotated[bool, typer.Option("--deny", help="Run no tool.", rich_help_panel=TOOLS)]
SchemaText = Annotated[
    str | None,
    typer.Option(
        "--schema",
        "--format",
        metavar="FILE|MODULE:MODEL|FIELDS|json",
        help="Answer in JSON by this schema: a file, a Python model, fields such as 'name, age int', or any JSON.",
        rich_help_panel=TOOLS,
    ),
]
Grammar = Annotated[
    str | None,
    typer.Option(
        "--grammar",
        metavar="FILE",
        help="Answer only what this GBNF grammar allows.",
        rich_help_panel=TOOLS,
    ),
]
Unconstrained = Annotated[
    bool,
    typer.Option(
        "--no-constrain",
        help="Do not constrain tool calls and JSON while they are generated; only check them.",
        rich_help_panel=TOOLS,
    ),
]
ColorChoice = Annotated[Literal["auto", "always", "never"] | None, _setting("--color", group=OUTPUT)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print model details to stderr.", rich_help_panel=OUTPUT)
]
Lora = Annotated[
    list[str] | None,
    typer.Option(
        "--lora",
        metavar="FILE[:SCALE]",
        help="Apply a LoRA adapter to the model (repeatable); none: no adapter.",
        rich_help_panel=LOADING,
    ),
]
ContextLength = Annotated[int | None, _setting("--ctx", metavar="N", group=LOADING)]
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
CacheType = Annotated[KvType | None, _setting("--kv-type", group=LOADING)]
Threads = Annotated[int | None, _setting("--threads", metavar="N", group=LOADING)]
Speculate = Annotated[Literal["auto", "off"] | None, _setting("--speculate", group=LOADING)]
Template = Annotated[str | None, _setting("--template", metavar="auto|chatml|embedded|FILE", group=LOADING)]
