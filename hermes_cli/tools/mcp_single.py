"""Starts a single MCP server to read a resource, a prompt or its definitions, and stops it again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import ToolFailed, UsageError, did_you_mean
from hermes_cli.tools.child.process import CallFailed
from hermes_cli.tools.mcp import McpTools, open_servers
from hermes_cli.tools.mcp_host import McpHost, log_file
from hermes_cli.tools.mcp_server import McpServer


@contextmanager
def running(server: McpServer, cancel: CancelToken | None = None) -> Iterator[McpTools]:
    """The server while it runs. Raises UsageError, LoadCancelled, and ToolFailed if it does not work."""
    found = open_servers([server], cancel=cancel)
    try:
        if problem := found.reports[0].problem:
            log = log_file(server.name)
            hint = f"read its log: {log}" if log.exists() else "check its definition: hermes mcp list"
            raise ToolFailed(f"the MCP server {server.name} does not work: {problem}", hint)
        yield found
    finally:
        found.host.close()


def read_resource(server: McpServer, uri: str) -> str:
    """The text of a resource. Raises UsageError, ToolFailed."""
    with running(server) as found:
        return resource_text(found.host, server.name, uri)


def resource_text(host: McpHost, server: str, uri: str) -> str:
    """`read_resource` of a server that runs. Raises UsageError."""
    try:
        return host.resource(server, uri)
    except CallFailed as problem:
        hint = f"list the resources: hermes mcp show {server}"
        raise UsageError(f"cannot read {uri} of the MCP server {server}: {problem}", hint) from problem


def read_prompt(server: McpServer, name: str, values: Mapping[str, str]) -> tuple[str, str]:
    """The description of a prompt, and its text with `values` as its arguments. Raises UsageError, ToolFailed."""
    with running(server) as found:
        return filled_prompt(found.host, server.name, name, values)


def filled_prompt(host: McpHost, server: str, name: str, values: Mapping[str, str]) -> tuple[str, str]:
    """`read_prompt` of a server that runs. Raises UsageError."""
    try:
        prompts = {one["name"]: one for one in host.catalog(server)["prompts"]}
        if name not in prompts:
            hint = did_you_mean(name, prompts, f"list the prompts: hermes mcp show {server}")
            raise UsageError(f"the MCP server {server} has no prompt {name}", hint)
        _check_arguments(name, prompts[name]["arguments"], values)
        return prompts[name]["description"], host.prompt(server, name, values)
    except CallFailed as problem:
        hint = f"see its arguments: hermes mcp show {server}"
        raise UsageError(f"the MCP server {server} gave no prompt {name}: {problem}", hint) from problem


def _check_arguments(prompt: str, arguments: Mapping[str, Any], values: Mapping[str, str]) -> None:
    """Raise UsageError for a value that the prompt does not take, or one that it needs and does not get."""
    takes = f"it takes {', '.join(arguments)}" if arguments else "it takes no values"
    for name in values:
        if name not in arguments:
            raise UsageError(f"the prompt {prompt} takes no {name}", did_you_mean(name, arguments, takes))
    for name, required in arguments.items():
        if required and name not in values:
            raise UsageError(f"the prompt {prompt} needs a value for {name}", f"pass --var {name}=TEXT")
