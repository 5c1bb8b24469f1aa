"""Loading the tools that were chosen: from files, built-in ones, and those of MCP servers, which may start later."""

import shlex
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hermes_cli.chat.request import MOST_ROUNDS, TOOL_TIMEOUT_S, CancelToken
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.errors import ToolFailed, UsageError, did_you_mean
from hermes_cli.session.choices import Choices
from hermes_cli.session.turn_loop import ToolUse
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.tools.approval import Decision, Policy
    from hermes_cli.tools.mcp import McpTools, ServerReport
    from hermes_cli.tools.mcp_server import McpServer
    from hermes_cli.tools.tool import Tool
    from hermes_cli.tools.toolbox import Toolbox

Consent = Callable[[ToolCall, CancelToken], "Decision"]
MakeConsent = Callable[[Mapping[str, "Tool"], "Policy"], Consent]


@dataclass(frozen=True, slots=True)
class ToolLoader:
    """Loads the tools chosen. `consent` makes the function that confirms a call; `servers` are the configured ones."""

    consent: MakeConsent
    servers: "Mapping[str, McpServer]"

    def load(
        self,
        choices: Choices,
        cancel: CancelToken | None = None,
        *,
        servers_later: bool = False,
        needs_servers: bool = False,
    ) -> ToolUse | None:
        """The tools; None if none were chosen. Raises UsageError, LoadCancelled.

        With `servers_later`, MCP servers are only looked up, and `present` starts them. With `needs_servers`, one of
        which nothing can be used raises ToolFailed; otherwise a note names it.
        """
        if not choices.tools and not choices.mcp:
            return None
        from hermes_cli.tools.toolbox import load_toolbox

        found = self._found(choices)
        toolbox = load_toolbox(choices.tools or (), choices.tool_variables or (), cancel)
        with ExitStack() as on_failure:
            on_failure.callback(toolbox.close)
            use = ToolUse(toolbox, self._consent(toolbox, choices), servers_wait=bool(found))
            if not (found and servers_later):
                use = self._started(use, choices, cancel, needs_servers=needs_servers)
            on_failure.pop_all()
        return use

    def loaded_again(self, before: ToolUse | None, choices: Choices, *, same_files: bool) -> ToolUse | None:
        """The tools for other choices; with `same_files`, their files are not read again. Raises UsageError.

        MCP servers that run are used on: `present` starts and ends only those that differ. The caller closes what of
        `before` is not used.
        """
        if not choices.tools and not choices.mcp:
            return None
        from hermes_cli.tools.toolbox import load_toolbox

        found, servers = self._found(choices), before.servers if before else None
        sources, variables = choices.tools or (), choices.tool_variables or ()
        own = _own(before) if before and same_files else load_toolbox(sources, variables)
        if not found:
            return self._use(own, None, choices)
        toolbox = own.joined((), servers.host) if servers else own
        return ToolUse(toolbox, self._consent(own, choices), servers=servers, servers_wait=True)

    def present(self, use: ToolUse, choices: Choices, cancel: CancelToken) -> ToolUse:
        """`use` with its servers started, if they wait, and with the tools that they define at present.

        Raises UsageError, LoadCancelled.
        """
        if use.servers_wait:
            return self._started(use, choices, cancel)
        if use.servers is None:
            return use
        own = _own(use)
        servers = use.servers.refreshed(own.tools)
        return self._use(own, servers, choices, strict=False) if servers else use

    def _started(
        self, use: ToolUse, choices: Choices, cancel: CancelToken | None, *, needs_servers: bool = False
    ) -> ToolUse:
        found = self._found(choices)
        if not found:
            return self._use(use.toolbox, None, choices)
        from hermes_cli.tools.mcp import open_servers

        own = _own(use)
        if use.servers:
            opened = use.servers.changed_to(found, own.tools, cancel)
        else:
            opened = open_servers(found, own.tools, cancel)
        try:
            if needs_servers and (useless := next((one for one in opened.reports if not one.tools), None)):
                raise _cannot_use(useless, configured=useless.server.name in self.servers)
            # A name may be that of a tool whose server did not start.
            return self._use(own, opened, choices, strict=not opened.notes)
        except BaseException:
            opened.host.close()
            raise

    def _found(self, choices: Choices) -> "list[McpServer]":
        """The chosen MCP servers. Raises UsageError."""
        if not choices.mcp:
            return []
        from hermes_cli.tools.mcp import check_installed
        from hermes_cli.tools.mcp_server import find_servers

        check_installed()
        return find_servers(choices.mcp, self.servers, choices.tool_variables or ())

    def _use(self, own: "Toolbox", servers: "McpTools | None", choices: Choices, *, strict: bool = True) -> ToolUse:
        """All tools that are to be kept. Raises UsageError, if `strict` also for names of tools that are not there."""
        toolbox = own.joined(servers.tools, servers.host) if servers else own
        if choices.tools_only:
            toolbox = toolbox.only(choices.tools_only, strict=strict)
        if choices.tools_match:
            toolbox = toolbox.matching(choices.tools_match, strict=strict)
        choice = choices.tool_choice or "auto"
        known = ("auto", "none", "required", *toolbox.tools)
        if choice not in known:
            hint = did_you_mean(choice, known, f"one of {', '.join(known)}")
            raise UsageError(f"--tool-choice {choice} is not the name of a tool", hint)
        return ToolUse(
            toolbox,
            self._consent(toolbox, choices),
            choice,
            choices.max_rounds or MOST_ROUNDS,
            choices.tool_timeout_s or TOOL_TIMEOUT_S,
            servers=servers,
            notes=servers.notes if servers else (),
        )

    def _consent(self, toolbox: "Toolbox", choices: Choices) -> Consent:
        return self.consent(toolbox.tools, choices.tool_policy or "ask")


def _own(use: ToolUse) -> "Toolbox":
    """The tools that are not those of MCP servers."""
    return use.toolbox.without(use.servers.host) if use.servers else use.toolbox


def _cannot_use(server: "ServerReport", *, configured: bool) -> ToolFailed:
    name, why = server.server.name, server.problem or "it has no tool that can be used"
    hint = f"test it: hermes mcp test {name if configured else shlex.quote(server.server.address)}; or omit --mcp"
    return ToolFailed(f"the MCP server {name} cannot be used: {why}", hint)
