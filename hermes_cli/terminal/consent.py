"""Asking the user before a tool runs."""

import json
import os
import select
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.errors import OutputError
from hermes_cli.terminal import console
from hermes_cli.terminal.prompt.keyboard import typing
from hermes_cli.terminal.sanitize import for_terminal
from hermes_cli.tools.approval import CANNOT_ASK, Approvals, Decision, Policy, Scope
from hermes_cli.tools.tool import Tool

_WAKE_S = 0.1
_SCOPES: dict[str, Scope] = {
    **dict.fromkeys(("y", "yes", "once"), "once"),
    **dict.fromkeys(("s", "session"), "session"),
    **dict.fromkeys(("a", "always"), "always"),
}
_QUESTION = "run it? y: once, s: for this session, a: always, n or a reason: no > "


class Consent:
    """Decides about tool calls: by an earlier decision, else by asking the user."""

    def __init__(self, tools: Mapping[str, Tool], policy: Policy) -> None:
        with _terminal() as terminal:
            self._approvals = Approvals(tools, policy=policy, interactive=terminal is not None)
        self._tools = tools
        self._reported = False

    def __call__(self, call: ToolCall, cancel: CancelToken) -> Decision:
        """The decision about `call`; a cancel ends the question with no."""
        decided = self._approvals.decide(call)
        if decided is not None:
            if decided.reason == CANNOT_ASK and not self._reported:
                console.notice("stdin is not a terminal: tool calls are declined; --yes runs them without asking")
                self._reported = True
            return decided
        with console.without_status():
            console.lines(described(call, self._tools[call.name].origin if call.name in self._tools else ""))
            with _terminal() as terminal:
                decision = _asked(terminal, cancel)
        try:
            self._approvals.remember(call, decision)
        except OutputError as problem:
            console.notice(f"{problem.message}; it holds for this session only")
        return decision


@contextmanager
def _terminal() -> Iterator[int | None]:
    """Where the user answers: stdin, or the terminal behind a pipe; None if no user can see the question."""
    if not console.is_terminal(sys.stderr):
        yield None
    elif console.is_terminal(sys.stdin):
        yield sys.stdin.fileno()
    else:
        try:
            descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            yield None
            return
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _asked(terminal: int | None, cancel: CancelToken) -> Decision:
    """One line from the user."""
    if terminal is None:
        return Decision(False, reason=CANNOT_ASK)
    line = b""
    with typing(terminal, lambda: console.put(_QUESTION)):
        console.put(_QUESTION)
        while not cancel.cancelled:
            if not select.select([terminal], [], [], _WAKE_S)[0]:
                continue
            piece = os.read(terminal, 4096)
            line += piece
            if not piece:
                console.put("\n")
            if not piece or line.endswith(b"\n"):
                return answer(line.decode("utf-8", "replace"))
        console.put("\n")
    return Decision(False)


def answer(line: str) -> Decision:
    """The decision of a typed line; anything but a clear yes is a no, with a longer text as its reason."""
    word = line.strip()
    if scope := _SCOPES.get(word.lower()):
        return Decision(True, scope)
    return Decision(False, reason="" if word.lower() in ("", "n", "no") else word)


def described(call: ToolCall, origin: str = "") -> str:
    """The call with every argument whole, one a line; what would not be seen as it is, is spelled out."""
    place = f" of the MCP server {_visible(origin[4:])}" if origin.startswith("mcp ") else ""
    rows = [f"the model wants to run {_visible(call.name)}{place}"]
    for name, value in call.arguments.items():
        shown = name if name.isidentifier() else json.dumps(name, ensure_ascii=False)
        rows.append(f"  {_visible(shown)}: {_visible(json.dumps(value, ensure_ascii=False))}")
    return "\n".join(rows)


def _visible(text: str) -> str:
    """`text` with the escapes of JSON for characters that are invisible, reorder others or control a terminal."""
    return "".join(one if one.isprintable() and for_terminal(one) == one else json.dumps(one)[1:-1] for one in text)
