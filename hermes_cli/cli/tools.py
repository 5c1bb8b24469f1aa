"""`hermes tools`: list tools, show them as the model sees them, and run one."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.cli import completion
from hermes_cli.cli.lists import stdout
from hermes_cli.cli.options import options
from hermes_cli.errors import LoadCancelled, ToolFailed, UsageError, did_you_mean
from hermes_cli.terminal import console
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping

if TYPE_CHECKING:
    from hermes_cli.chat.tool_call import ToolResult
    from hermes_cli.tools.tool import Tool
    from hermes_cli.tools.toolbox import Toolbox

app = typer.Typer(
    help="List, show and run the tools for --tools.",
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
)
Sources = Annotated[
    list[str] | None, typer.Option("--tools", metavar="FILE|NAME", help="A tool file or a built-in tool (repeatable).")
]

CallArguments = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE|JSON", help="Arguments, as KEY=VALUE pairs or a JSON object.")
]
CallTimeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="S", callback=options.within("--timeout", 0.1, 86_400), help="Time limit in seconds."
    ),
]


@app.callback()
def _alone(context: typer.Context, tools: Sources = None, tool_env: options.ToolVariables = None) -> None:
    if context.invoked_subcommand is None:
        list_tools(tools, tool_env)
    elif tools or tool_env:
        raise UsageError(
            "--tools and --tool-env must come after the command",
            f"see: hermes tools {context.invoked_subcommand} --help",
        )


@app.command("list")
def list_tools(tools: Sources = None, tool_env: options.ToolVariables = None) -> None:
    """List the built-in tools and those of the given files.

    The columns are name, origin, consent and description.
    """
    from hermes_cli.tools.toolbox import built_in_names, load_toolbox

    given = list(tools or ())
    named = {source.partition(":")[0] for source in given}
    with load_toolbox([*(name for name in built_in_names() if name not in named), *given], tool_env or ()) as toolbox:
        rows = [_row(tool) for tool in toolbox.tools.values()]
    stdout.write_rows(("name", "from", "consent", "description"), rows, order=(0, 2, 1), elastic=3)


@app.command("show")
def show(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", autocompletion=completion.tools, help="A built-in tool, or a file of tools."
        ),
    ],
    prompt: Annotated[bool, typer.Option("--prompt", help="Print the system prompt that offers them instead.")] = False,
    tool_env: options.ToolVariables = None,
) -> None:
    """Print the schemas of tools as the model reads them."""
    from hermes_cli.formats.function_calling import tools_prompt
    from hermes_cli.tools.toolbox import load_toolbox

    with load_toolbox([source], tool_env or ()) as toolbox:
        functions = [{"type": "function", "function": tool.function} for tool in toolbox.schemas]
    if prompt:
        stdout.write(f"{tools_prompt(functions)}\n")
    else:
        stdout.write_json(functions[0] if len(functions) == 1 else functions)


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=completion.tools, help="The tool's name.")],
    arguments: CallArguments = None,
    tools: Sources = None,
    tool_env: options.ToolVariables = None,
    timeout: CallTimeout = 30,
) -> int:
    """Run a tool the way the model would, and print its result as JSON.

    Without --tools, NAME is a built-in tool.
    """
    from hermes_cli.tools.toolbox import load_toolbox

    cancel, result = CancelToken(), None
    with (
        stopping(cancel, leave=lambda: None),
        suppress(LoadCancelled),
        load_toolbox(tools or [name], tool_env or (), cancel) as toolbox,
    ):
        name = name if tools else name.partition(":")[0]
        if not tools and name not in toolbox.tools:
            hint = f"run one of its tools: hermes tools run {next(iter(toolbox.tools))} --tools {name}"
            raise UsageError(f"{name} is a file, not the name of a tool", hint)
        if name not in toolbox.tools:
            hint = did_you_mean(name, toolbox.tools, f"available tools: {', '.join(toolbox.tools)}")
            raise UsageError(f"there is no tool {name} in {', '.join(tools or ())}", hint)
        result = call_tool(toolbox, name, arguments or [], timeout, cancel)
    return print_result(result, cancel, f"hermes tools show {(tools or [name])[0]}")


@app.command("approvals")
def approvals(
    revoke: Annotated[
        list[str] | None,
        typer.Option("--revoke", metavar="NAME", help="Revoke the approval of this tool (repeatable)."),
    ] = None,
    revoke_all: Annotated[bool, typer.Option("--revoke-all", help="Revoke all approvals.")] = False,
) -> None:
    """List or revoke the approvals that you gave with "always".

    These tools run without confirmation.
    """
    from hermes_cli.tools import approval

    saved = approval.approved_tools()
    names = [name for name, _ in saved]
    for name in revoke or ():
        if name not in names:
            hint = did_you_mean(name, names, "list them: hermes tools approvals")
            raise UsageError(f"there is no approval for {name}", hint)
    gone = set(names) if revoke_all else set(revoke or ())
    if gone:
        approval.revoke(gone)
        console.notice(f"revoked: {', '.join(sorted(gone))}")
    elif not saved:
        console.notice("no approvals are saved")
    elif not revoke_all:
        stdout.write("".join(f"{name}\t{sha256[:12]}\n" for name, sha256 in saved))


def call_tool(
    toolbox: "Toolbox", name: str, words: Sequence[str], timeout_s: float, cancel: CancelToken
) -> "ToolResult":
    """Call a tool with arguments from the command line. Raises UsageError."""
    given = call_arguments(toolbox.tools[name].parameters, words)
    return toolbox.call(ToolCall(name, given), timeout_s=timeout_s, cancel=cancel)


def print_result(result: "ToolResult | None", cancel: CancelToken, see: str) -> int:
    """Print the result as JSON, and return the exit code. Raises ToolFailed, whose hint names the command `see`."""
    if cancel.reason or result is None:
        return EXIT_CODES[cancel.reason or "interrupt"]
    if result.error is not None:
        raise ToolFailed(f"{result.call.name}: {result.error}", f"see its arguments: {see}")
    stdout.write_json(result.value)
    return 0


def call_arguments(parameters: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` pairs by the types of the tool, or one JSON object. Raises UsageError."""
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            given = json.loads(words[0])
        except (ValueError, RecursionError) as error:
            raise UsageError(f"the arguments are not JSON: {error}", 'write them like {"city": "Oslo"}') from error
        return dict(given)
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not key or not equals:
            raise UsageError(
                f"{word} is not KEY=VALUE", 'write it like city=Oslo, or all as JSON: \'{"city": "Oslo"}\''
            )
        values[key] = _value((parameters.get("properties") or {}).get(key), text)
    return values


def _value(schema: Any, text: str) -> Any:
    """The text itself if the tool takes text, else its value as JSON if it is valid."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if kind == "string":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _row(tool: "Tool") -> tuple[str, str, str, str]:
    from hermes_cli.tools.approval import always_approved

    consent = "read-only" if tool.read_only else "always" if always_approved(tool) else "asks"
    return tool.name, tool.origin, consent, tool.description
