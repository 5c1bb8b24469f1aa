"""Which tool calls may run: the user's decisions, once, for this session or always."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from hermes_cli import files, paths
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.errors import OutputError
from hermes_cli.tools.tool import Tool

Policy = Literal["ask", "yes", "deny"]
Scope = Literal["once", "session", "always"]

DENIED_BY_POLICY = "the user declines all tool calls (--deny)"
CANNOT_ASK = "stdin is not a terminal, so the user cannot approve the call"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call may run, how long the decision holds, and the reason for the model if it may not."""

    approved: bool
    scope: Scope = "once"
    reason: str = ""


@dataclass(frozen=True, slots=True, order=True)
class _Approval:
    tool: str
    sha256: str


@dataclass(frozen=True, slots=True)
class _Saved:
    """The content of the approvals file."""

    always: tuple[_Approval, ...]


class Approvals:
    """Decides about calls by the policy, by whether a tool is read-only, and by earlier decisions.

    `ask` asks on a terminal (`interactive`) and denies elsewhere; `yes` approves all; `deny` denies all. Read-only
    tools run without being asked about. An approval for always holds until the tool's file changes.
    """

    def __init__(self, tools: Mapping[str, Tool], *, policy: Policy = "ask", interactive: bool) -> None:
        self._tools, self._policy, self._interactive = tools, policy, interactive
        self._session: set[_Approval] = set()
        self._always = _read() if policy == "ask" else frozenset()

    def decide(self, call: ToolCall) -> Decision | None:
        """The decision about a call; None where the user must be asked."""
        tool = self._tools.get(call.name)
        if self._policy == "deny":
            return Decision(False, reason=DENIED_BY_POLICY)
        if self._policy == "yes" or tool is None:  # a tool that does not exist reports that itself
            return Decision(True)
        if tool.read_only or _approval(tool) in self._session | self._always:
            return Decision(True)
        return None if self._interactive else Decision(False, reason=CANNOT_ASK)

    def remember(self, call: ToolCall, decision: Decision) -> None:
        """Remember a decision for its scope. Raises OutputError where it cannot be saved."""
        tool = self._tools.get(call.name)
        if tool is None or not decision.approved or decision.scope == "once":
            return
        self._session.add(_approval(tool))
        if decision.scope == "always":
            self._always = _read() | {_approval(tool)}
            _write(self._always)


def always_approved(tool: Tool) -> bool:
    """Whether the user approved this version of the tool for always."""
    return _approval(tool) in _read()


def approved_tools() -> list[tuple[str, str]]:
    """The saved approvals: the name of each tool and the hash of its file."""
    return [(one.tool, one.sha256) for one in sorted(_read())]


def revoke(names: Collection[str]) -> None:
    """Forget the saved approvals of these tools. Raises OutputError where that cannot be written."""
    _write(frozenset(one for one in _read() if one.tool not in names))


def _approval(tool: Tool) -> _Approval:
    return _Approval(tool.name, tool.sha256)


def _read() -> frozenset[_Approval]:
    """The saved approvals; a file that cannot be read approves nothing."""
    saved = files.read_record(paths.tool_approvals_file(), _Saved)
    return frozenset(saved.always) if saved else frozenset()


def _write(approved: frozenset[_Approval]) -> None:
    file = paths.tool_approvals_file()
    try:
        files.write_json(file, _Saved(tuple(sorted(approved))))
    except OSError as error:
        hint = files.write_hint(file, error)
        raise OutputError(f"cannot save the approval in {file}: {error.strerror}", hint) from error
