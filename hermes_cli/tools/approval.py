"""Who may run: what the user has decided about the model's calls, for once, for this session and for always."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from hermes_cli import paths
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.errors import OutputError
from hermes_cli.tools.tool import Tool

Policy = Literal["ask", "yes", "deny"]
Scope = Literal["once", "session", "always"]

DENIED_BY_POLICY = "the user runs without tools that act (--deny)"
NOBODY_TO_ASK = "nobody is here to approve the call"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call may run, for how long that holds, and the reason the model is told where it may not."""

    approved: bool
    scope: Scope = "once"
    reason: str = ""


class Approvals:
    """Decides about calls by the policy, by what tools are, and by what was decided before.

    `ask` asks on a terminal (`interactive`) and denies elsewhere; `yes` approves all; `deny` denies all. A tool that
    is read-only is never asked about. What is approved for always holds while the tool's file stays as it is.
    """

    def __init__(self, tools: Mapping[str, Tool], *, policy: Policy = "ask", interactive: bool) -> None:
        self._tools, self._policy, self._interactive = tools, policy, interactive
        self._session: set[tuple[str, str]] = set()
        self._always = _read() if policy == "ask" else frozenset()

    def decide(self, call: ToolCall) -> Decision | None:
        """The decision about a call; None where the user must be asked."""
        tool = self._tools.get(call.name)
        if self._policy == "deny":
            return Decision(False, reason=DENIED_BY_POLICY)
        if self._policy == "yes" or tool is None:  # what does not exist cannot run, and says so itself
            return Decision(True)
        if tool.read_only or _key(tool) in self._session | self._always:
            return Decision(True)
        return None if self._interactive else Decision(False, reason=NOBODY_TO_ASK)

    def remember(self, call: ToolCall, decision: Decision) -> None:
        """Keep what the user decided, for as long as it was meant. Raises OutputError where that cannot be written."""
        tool = self._tools.get(call.name)
        if tool is None or not decision.approved or decision.scope == "once":
            return
        self._session.add(_key(tool))
        if decision.scope == "always":
            self._always = _read() | {_key(tool)}
            _write(self._always)


def always_approved(tool: Tool) -> bool:
    """Whether the user lets this tool, as it is now, run without being asked."""
    return _key(tool) in _read()


def _key(tool: Tool) -> tuple[str, str]:
    return tool.name, tool.sha256


def _read() -> frozenset[tuple[str, str]]:
    """The pairs of name and hash that are kept; a file that is no longer understood approves nothing."""
    with suppress(OSError, ValueError, RecursionError):
        match json.loads(paths.tool_approvals_file().read_bytes()):
            case {"always": list(entries)}:
                return frozenset(
                    (entry["tool"], entry["sha256"])
                    for entry in entries
                    if isinstance(entry, dict)
                    and isinstance(entry.get("tool"), str)
                    and isinstance(entry.get("sha256"), str)
                )
    return frozenset()


def _write(approved: frozenset[tuple[str, str]]) -> None:
    file = paths.tool_approvals_file()
    temporary = file.with_suffix(f".{os.getpid()}")
    content = {"always": [{"tool": name, "sha256": sha256} for name, sha256 in sorted(approved)]}
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(content, out, indent=1)
        temporary.replace(file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        hint = f"look at it: ls -ld '{file.parent}'"
        raise OutputError(f"cannot keep the approval in {file}: {error.strerror}", hint) from error
