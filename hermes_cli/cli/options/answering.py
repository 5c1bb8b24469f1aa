"""The options that `ask` and `chat` share. A new one is a parameter of `answering`; `given` reads it by its name."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer
from typer.main import get_command

from hermes_cli.chat.request import MOST_ROUNDS
from hermes_cli.cli import completion
from hermes_cli.cli.help.page import GroupedCommand
from hermes_cli.cli.options import options
from hermes_cli.cli.options.options import MODEL, OUTPUT, PROMPT, SAMPLING, SESSION, TOOLS, setting

_shared = typer.Typer(rich_markup_mode=None, add_completion=False)


class AnsweringCommand(GroupedCommand):
    """A command with the shared options in addition to its own parameters, the only ones its function gets."""

    def __init__(self, *arguments: Any, params: Sequence[Any], **others: Any) -> None:
        super().__init__(*arguments, params=[*shared_options(), *params], **others)
        self._own = [param.name for param in params]

    def invoke(self, ctx: Any) -> Any:
        """Call the function; it reads the shared options from the context."""
        return ctx.invoke(self.callback, **{name: ctx.params[name] for name in self._own})


def shared_options() -> list[Any]:
    """The options as Typer makes them."""
    return get_command(_shared).params


@_shared.command()
def answering(
    model: options.Model = None,
    endpoint: options.EndpointUrl = None,
    endpoint_mode: Annotated[
        Literal["auto", "raw", "chat"] | None,
        typer.Option(
            "--endpoint-mode",
            help="Send prompts as token ids (raw) or as messages (chat). [default: auto, which asks the server]",
            rich_help_panel=MODEL,
        ),
    ] = None,
    extra_body: Annotated[
        str | None,
        typer.Option(
            "--extra-body",
            metavar="JSON",
            help="Add these JSON fields to every request to the server.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "-p",
            metavar="NAME",
            autocompletion=completion.presets,
            help="Use this preset: a system prompt, with optional sampling, model, tools and schema.",
            rich_help_panel=PROMPT,
        ),
    ] = None,
    var: Annotated[
        list[str] | None,
        typer.Option("--var", metavar="K=V", help="Set a variable of the preset (repeatable).", rich_help_panel=PROMPT),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            "--system",
            "-s",
            metavar="TEXT",
            help="Set the system prompt; @FILE reads it from a file.",
            rich_help_panel=PROMPT,
        ),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", metavar="PATH", help="Add a file to the prompt (repeatable).", rich_help_panel=PROMPT
        ),
    ] = None,
    continue_last: Annotated[
        bool, typer.Option("--continue", "-c", help="Continue the last session.", rich_help_panel=SESSION)
    ] = False,
    session: Annotated[
        str | None,
        typer.Option(
            "--session",
            metavar="ID|NAME|PATH",
            autocompletion=completion.sessions,
            help="Continue this session.",
            rich_help_panel=SESSION,
        ),
    ] = None,
    no_save: Annotated[
        bool, typer.Option("--no-save", help="Do not save this session.", rich_help_panel=SESSION)
    ] = False,
    overflow: Annotated[Literal["ask", "error", "drop"] | None, setting("--overflow", group=SESSION)] = None,
    temperature: Annotated[float | None, setting("--temperature", "-t")] = None,
    top_k: Annotated[int | None, setting("--top-k")] = None,
    top_p: Annotated[float | None, setting("--top-p")] = None,
    min_p: Annotated[float | None, setting("--min-p")] = None,
    repeat_penalty: Annotated[float | None, setting("--repeat-penalty")] = None,
    seed: Annotated[int | None, setting("--seed")] = None,
    repeat_last_n: Annotated[int | None, setting("--repeat-last-n")] = None,
    repeat_scope: Annotated[Literal["answer", "all"] | None, setting("--repeat-scope")] = None,
    presence_penalty: Annotated[float | None, setting("--presence-penalty")] = None,
    frequency_penalty: Annotated[float | None, setting("--frequency-penalty")] = None,
    dry_multiplier: Annotated[float | None, setting("--dry-multiplier")] = None,
    dry_base: Annotated[float | None, setting("--dry-base")] = None,
    dry_allowed_length: Annotated[int | None, setting("--dry-allowed-length")] = None,
    dry_penalty_last_n: Annotated[int | None, setting("--dry-penalty-last-n")] = None,
    top_n_sigma: Annotated[float | None, setting("--top-n-sigma")] = None,
    typical_p: Annotated[float | None, setting("--typical-p")] = None,
    xtc_probability: Annotated[float | None, setting("--xtc-probability")] = None,
    xtc_threshold: Annotated[float | None, setting("--xtc-threshold")] = None,
    dynatemp_range: Annotated[float | None, setting("--dynatemp-range")] = None,
    dynatemp_exponent: Annotated[float | None, setting("--dynatemp-exponent")] = None,
    mirostat: Annotated[int | None, setting("--mirostat")] = None,
    mirostat_tau: Annotated[float | None, setting("--mirostat-tau")] = None,
    mirostat_eta: Annotated[float | None, setting("--mirostat-eta")] = None,
    logit_bias: Annotated[str | None, setting("--logit-bias")] = None,
    max_tokens: Annotated[int | None, setting("--max-tokens", "-n", metavar="N")] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option("--stop", metavar="TEXT", help="Stop before this text (repeatable).", rich_help_panel=SAMPLING),
    ] = None,
    tools: Annotated[
        list[str] | None,
        typer.Option(
            "--tools",
            autocompletion=completion.tools,
            metavar="FILE|NAME",
            help="Let the model call these tools: FILE.py, FILE.json or a built-in name (repeatable).",
            rich_help_panel=TOOLS,
        ),
    ] = None,
    mcp: Annotated[
        list[str] | None,
        typer.Option(
            "--mcp",
            metavar="NAME|COMMAND|URL",
            autocompletion=completion.mcp_servers,
            help="Let the model call the tools of this MCP server (repeatable).",
            rich_help_panel=TOOLS,
        ),
    ] = None,
    tools_only: Annotated[
        str | None,
        typer.Option(
            "--tools-only",
            metavar="NAMES",
            help="Offer only these tools (comma-separated; * matches any characters).",
            rich_help_panel=TOOLS,
        ),
    ] = None,
    tools_match: Annotated[
        str | None,
        typer.Option(
            "--tools-match",
            metavar="WORDS",
            help="Offer only tools whose name or description has one of these words (comma-separated).",
            rich_help_panel=TOOLS,
        ),
    ] = None,
    tool_env: options.ToolVariables = None,
    tool_choice: Annotated[
        str,
        typer.Option(
            "--tool-choice",
            metavar="auto|none|required|NAME",
            help="Whether the model may, must not or must call a tool.",
            rich_help_panel=TOOLS,
        ),
    ] = "auto",
    max_rounds: Annotated[
        int,
        typer.Option(
            "--max-rounds",
            callback=options.within("--max-rounds", 1, 1000),
            metavar="N",
            help="Maximum rounds of tool calls before the model must answer.",
            rich_help_panel=TOOLS,
        ),
    ] = MOST_ROUNDS,
    tool_timeout: Annotated[float | None, setting("--tool-timeout", group=TOOLS, metavar="S")] = None,
    yes: options.AllowAll = False,
    deny: Annotated[bool, typer.Option("--deny", help="Decline every tool call.", rich_help_panel=TOOLS)] = False,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema",
            "--format",
            metavar="FILE|MODULE:MODEL|FIELDS|json",
            help="Answer in JSON that matches this schema: a file, a Python model, or fields like 'name, age int'.",
            rich_help_panel=TOOLS,
        ),
    ] = None,
    grammar: Annotated[
        str | None,
        typer.Option(
            "--grammar", metavar="FILE", help="Constrain the answer to this GBNF grammar.", rich_help_panel=TOOLS
        ),
    ] = None,
    no_constrain: options.Unconstrained = False,
    color: options.ColorChoice = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print model details to stderr.", rich_help_panel=OUTPUT)
    ] = False,
    ctx: options.ContextLength = None,
    gpu_layers: options.GpuLayers = None,
    kv_type: options.CacheType = None,
    threads: options.Threads = None,
    speculate: options.Speculate = None,
    template: options.Template = None,
    lora: options.Lora = None,
) -> None:
    """Never called: its parameters are the options."""
