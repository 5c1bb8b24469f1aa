"""`hermes mcp`: MCP servers: list, show and test them, call one of their tools, import those of other clients."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.cli import completion, options
from hermes_cli.cli.tools import call_arguments
from hermes_cli.errors import LoadCancelled, ToolFailed, UsageError, did_you_mean
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import StandardOutput
from hermes_cli.terminal.columns import table, window_columns
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.sanitize import one_line

if TYPE_CHECKING:
    from hermes_cli.tools.mcp import McpTools
    from hermes_cli.tools.tool import Tool

_CHARACTERS_PER_TOKEN = 3.5

app = typer.Typer(
    help="MCP servers, whose tools the model may call with --mcp.",
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
    """List the configured servers; none is started."""
    from hermes_cli.store.settings.settings import load_settings

    servers = load_settings().mcp_servers.values()
    if not servers:
        console.notice("no MCP servers are configured; add one: hermes config edit, or hermes mcp import FILE")
        return
    rows = [(server.name, "http" if server.url else "stdio", one_line(server.address)) for server in servers]
    if console.is_terminal(sys.stdout):
        text = table([("name", "transport", "address"), *rows], window_columns(sys.stdout), order=(0, 1), elastic=2)
    else:
        text = "".join("\t".join(row) + "\n" for row in rows)
    StandardOutput().write(text)


@app.command("show")
def show(
    name: Server,
    as_json: Annotated[bool, typer.Option("--json", help="Print the definitions as JSON.")] = False,
    tool_env: options.ToolVariables = None,
) -> int:
    """Start a server and print its tools, what it claims about them, and about how many tokens they take."""
    cancel = CancelToken()
    with suppress(LoadCancelled), _opened(name, tool_env, cancel) as found:
        tools = found.reports[0].tools
        if as_json:
            StandardOutput().write(_json([tool.schema.function for tool in tools]))
            return 0
        report = found.reports[0]
        total = sum(map(_tokens, tools))
        lines = [
            f"{report.title} {report.version}, protocol {report.protocol}",
            f"{len(tools)} tools, about {total:,} tokens in the prompt",
        ]
        claims = report.annotations or {}
        for tool in tools:
            stated = ", ".join(f"{key}: {json.dumps(value)}" for key, value in claims.get(tool.name, {}).items())
            lines += ["", f"{tool.name} (about {_tokens(tool):,} tokens)", f"  {tool.description}"]
            lines += [f"  the server claims {stated}"] if stated else []
            arguments = tool.parameters.get("properties") or {}
            lines += [f"  {argument}: {_shown(schema)}" for argument, schema in arguments.items()]
        StandardOutput().write("\n".join(lines) + "\n")
        return 0
    return EXIT_CODES[cancel.reason or "interrupt"]


@app.command("test")
def test(name: Server, tool_env: options.ToolVariables = None) -> int:
    """Start a server and print whether it works, its version, tools and latency."""
    cancel = CancelToken()
    with suppress(LoadCancelled), _opened(name, tool_env, cancel) as found:
        report = found.reports[0]
        about = (f"{report.title} {report.version}", f"protocol {report.protocol}", f"{len(report.tools)} tools")
        times = (f"started in {report.start_s:.2f} s", f"tools listed in {report.latency_s * 1000:.0f} ms")
        StandardOutput().write(f"{report.server.name}: works\n  {', '.join(about)}\n  {', '.join(times)}\n")
        return 0
    return EXIT_CODES[cancel.reason or "interrupt"]


@app.command("run")
def run(
    name: Server,
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="The tool's name.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE|JSON", help="Its arguments, as pairs or as an object.")
    ] = None,
    tool_env: options.ToolVariables = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="S", callback=options.within("--timeout", 0.1, 86_400), help="Seconds it may take."
        ),
    ] = 30,
) -> int:
    """Call a tool of a server by hand. Prints its result as JSON."""
    from hermes_cli.tools.toolbox import Toolbox

    cancel, result = CancelToken(), None
    with suppress(LoadCancelled), _opened(name, tool_env, cancel) as found:
        toolbox = Toolbox(tuple(found.tools))
        if tool not in toolbox.tools:
            hint = did_you_mean(tool, toolbox.tools, f"there are: {', '.join(toolbox.tools)}")
            raise UsageError(f"the MCP server has no tool {tool}", hint)
        given = call_arguments(toolbox.tools[tool].parameters, arguments or [])
        result = toolbox.call(ToolCall(tool, given), timeout_s=timeout, cancel=cancel)
    if cancel.reason or result is None:
        return EXIT_CODES[cancel.reason or "interrupt"]
    if result.error is not None:
        raise ToolFailed(f"{tool}: {result.error}", "see what it takes: hermes mcp show NAME")
    StandardOutput().write(_json(result.value))
    return 0


@app.command("import")
def import_servers(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON with mcpServers, as other clients write it.")],
) -> None:
    """Add the servers of another client to config.toml, without values of secrets. Existing names are kept."""
    from hermes_cli.store.settings import config_file
    from hermes_cli.store.settings.mcp_servers import read_other, servers_in
    from hermes_cli.store.settings.settings import load_settings

    known = load_settings().mcp_servers
    for server in read_other(file):
        if server.name in known:
            console.notice(f"{server.name} is configured already; left as it is")
            continue
        try:
            servers_in({"servers": {server.name: server.table}}, str(file))
        except UsageError as problem:
            console.notice(f"{server.name} skipped: {problem.message}")
            continue
        config_file.put_table(("mcp", "servers", server.name), server.table)
        console.notice(f"added {server.name}; use it: --mcp {server.name}")
        for note in server.notes:
            console.notice(note)


@contextmanager
def _opened(name: str, variables: Sequence[str] | None, cancel: CancelToken) -> "Iterator[McpTools]":
    """One server that works. Raises UsageError, LoadCancelled, and ToolFailed with the reason if it does not start."""
    from hermes_cli.store.settings.settings import load_settings
    from hermes_cli.tools.mcp import log_file, open_servers
    from hermes_cli.tools.mcp_server import find_servers

    servers = find_servers([name], load_settings().mcp_servers, variables or ())
    with stopping(cancel, leave=lambda: None):
        found = open_servers(servers, cancel=cancel)
        try:
            report = found.reports[0]
            if report.problem:
                log = log_file(report.server.name)
                hint = f"read its log: {log}" if log.exists() else "check its definition: hermes mcp list"
                raise ToolFailed(f"the MCP server {report.server.name} does not work: {report.problem}", hint)
            for note in found.notes:
                console.notice(note)
            yield found
        finally:
            found.host.close()


def _tokens(tool: "Tool") -> int:
    """About how many tokens a definition takes; the exact number depends on the model."""
    return round(len(json.dumps(tool.schema.function, ensure_ascii=False)) / _CHARACTERS_PER_TOKEN)


def _shown(schema: object) -> str:
    text = json.dumps(schema, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
