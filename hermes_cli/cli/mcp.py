"""`hermes mcp`: MCP servers: list, show and test them, call one of their tools, import those of other clients."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hermes_cli.chat.request import CancelToken
from hermes_cli.cli import completion
from hermes_cli.cli.lists import stdout
from hermes_cli.cli.options import options
from hermes_cli.cli.tools import CallArguments, CallTimeout, call_tool, print_result
from hermes_cli.errors import LoadCancelled, UsageError, did_you_mean
from hermes_cli.terminal import console
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping

if TYPE_CHECKING:
    from hermes_cli.tools.mcp import McpTools, ServerReport
    from hermes_cli.tools.mcp_server import McpServer
    from hermes_cli.tools.tool import Tool

_CHARACTERS_PER_TOKEN = 3.5

app = typer.Typer(
    help="Manage MCP servers, whose tools the model can call with --mcp.",
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
)
Server = Annotated[
    str,
    typer.Argument(
        metavar="NAME|COMMAND|URL",
        autocompletion=completion.mcp_servers,
        help="A configured server, a command in quotes, or a URL.",
    ),
]


@app.callback()
def _alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_servers()


@app.command("list")
def list_servers() -> None:
    """List the configured servers without starting them."""
    from hermes_cli.store.settings.settings import load_settings

    servers = load_settings().mcp_servers.values()
    if not servers:
        console.notice("no MCP servers are configured; add one: hermes config edit, or hermes mcp import FILE")
        return
    rows = [(server.name, "http" if server.url else "stdio", server.shown_address) for server in servers]
    stdout.write_rows(("name", "transport", "address"), rows, order=(0, 1), elastic=2)


@app.command("show")
def show(
    name: Server,
    as_json: Annotated[bool, typer.Option("--json", help="Print the definitions as JSON.")] = False,
    tool_env: options.ToolVariables = None,
) -> int:
    """Print the tools, resources and prompts of a server. Starts it; shows how many tokens each tool takes."""
    cancel = CancelToken()
    with suppress(LoadCancelled), _opened(name, tool_env, cancel) as found:
        report = found.reports[0]
        if as_json:
            stdout.write_json([tool.schema.function for tool in report.tools])
            return 0
        catalog = found.host.catalog(report.server.name)
        lines = [
            f"{_server_title(report)}, protocol {report.protocol}",
            f"{_tool_count(report)}, about {sum(map(_tokens, report.tools)):,} tokens in the prompt",
            *_tool_lines(report),
            *_catalog_lines(report.server, catalog),
        ]
        stdout.write("\n".join(lines) + "\n")
        return 0
    return EXIT_CODES[cancel.reason or "interrupt"]


def _server_title(report: "ServerReport") -> str:
    return f"{report.title} {report.version}".strip()


def _tool_count(report: "ServerReport") -> str:
    return f"{len(report.tools)} tool{'s' * (len(report.tools) != 1)}"


def _tool_lines(report: "ServerReport") -> Iterator[str]:
    """Each tool with its arguments and with what the server claims about it."""
    for tool in report.tools:
        claims = report.annotations[tool.name]
        stated = ", ".join(f"{key}: {json.dumps(value)}" for key, value in claims.items())
        yield f"\n{tool.name} (about {_tokens(tool):,} tokens)\n  {tool.description}"
        if stated:
            yield f"  the server claims {stated}"
        for argument, schema in (tool.parameters.get("properties") or {}).items():
            yield f"  {argument}: {json.dumps(schema, ensure_ascii=False)}"


def _catalog_lines(server: "McpServer", catalog: Mapping[str, Any]) -> Iterator[str]:
    """Resources and prompts, as `-f` and `-p` take them."""
    if catalog["resources"]:
        yield "\nresources"
    for one in catalog["resources"]:
        yield f"  mcp:{server.name}/{one['uri']}{_described(one)}"
    if catalog["prompts"]:
        yield "\nprompts"
    for one in catalog["prompts"]:
        arguments = [name if required else f"[{name}]" for name, required in one["arguments"].items()]
        yield f"  {' '.join([f'{server.name}:' + one['name'], *arguments])}{_described(one)}"


def _described(one: Mapping[str, Any]) -> str:
    text = " ".join((one["description"] or one["name"]).split())
    return f"  {text}" if text else ""


@app.command("test")
def test(name: Server, tool_env: options.ToolVariables = None) -> int:
    """Test whether a server works. Starts it and prints its version, number of tools and latency."""
    cancel = CancelToken()
    with suppress(LoadCancelled), _opened(name, tool_env, cancel) as found:
        report = found.reports[0]
        about = (_server_title(report), f"protocol {report.protocol}", _tool_count(report))
        times = (f"started in {report.start_s:.2f} s", f"tools listed in {report.latency_s * 1000:.0f} ms")
        stdout.write(f"{report.server.name}: works\n  {', '.join(about)}\n  {', '.join(times)}\n")
        return 0
    return EXIT_CODES[cancel.reason or "interrupt"]


@app.command("run")
def run(
    name: Server,
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="The tool's name.")],
    arguments: CallArguments = None,
    tool_env: options.ToolVariables = None,
    timeout: CallTimeout = 30,
) -> int:
    """Call a tool of a server and print its result as JSON."""
    from hermes_cli.tools.toolbox import Toolbox

    cancel, result = CancelToken(), None
    with suppress(LoadCancelled), _opened(name, tool_env, cancel) as found:
        toolbox = Toolbox(tuple(found.tools))
        if tool not in toolbox.tools:
            hint = did_you_mean(tool, toolbox.tools, f"available tools: {', '.join(toolbox.tools)}")
            raise UsageError(f"the MCP server has no tool {tool}", hint)
        result = call_tool(toolbox, tool, arguments or [], timeout, cancel)
    return print_result(result, cancel, f"hermes mcp show {shlex.quote(name)}")


@app.command("import")
def import_servers(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON file with mcpServers, as other clients write it.")],
) -> None:
    """Import the servers of another client. Secret values are not copied; existing servers are kept."""
    from hermes_cli.store.settings import config_file
    from hermes_cli.store.settings.mcp_import import read_other
    from hermes_cli.store.settings.settings import load_settings

    for server in read_other(file, load_settings().mcp_servers):
        if server.problem:
            console.notice(f"{server.name} skipped: {server.problem}")
            continue
        config_file.put_in_table(("mcp", "servers", server.name), server.table)
        console.notice(f"added {server.name}; use it: --mcp {server.name}")
        console.notice(*server.notes)


@contextmanager
def _opened(name: str, variables: Sequence[str] | None, cancel: CancelToken) -> "Iterator[McpTools]":
    """One server that works. Raises UsageError, LoadCancelled, and ToolFailed with the reason if it does not start."""
    from hermes_cli.store.settings.settings import load_settings
    from hermes_cli.tools.mcp_server import find_servers
    from hermes_cli.tools.mcp_single import running

    (server,) = find_servers([name], load_settings().mcp_servers, variables or ())
    with stopping(cancel, leave=lambda: None), running(server, cancel) as found:
        console.notice(*found.notes)
        yield found


def _tokens(tool: "Tool") -> int:
    """About how many tokens a definition takes; the exact number depends on the model."""
    return round(len(json.dumps(tool.schema.function, ensure_ascii=False)) / _CHARACTERS_PER_TOKEN)
