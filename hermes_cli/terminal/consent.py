"""Asking the user before a tool runs."""

import json
import os
import select
import sys
from collections.abc import Sequence

from hermes_cli.chat.request import MOST_ROUNDS, CancelToken
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.terminal import console
from hermes_cli.terminal.keyboard import typing
from hermes_cli.terminal.sanitize import for_terminal
from hermes_cli.tools.approval import Approvals, Decision, Policy, Scope
from hermes_cli.tools.toolbox import load_toolbox
from hermes_cli.turn_loop import ToolUse

_SHOWN_CHARACTERS = 4000
_WAKE_S = 0.1
_SCOPES: dict[str, Scope] = {"y": "once", "yes": "once", "s": "session", "a": "always"}
_QUESTION = "run it? y: once, s: for this session, a: always, n or a reason: no > "


class Consent:
    """Decides about calls: as it was decided before, else as the user says now."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def __call__(self, call: ToolCall, cancel: CancelToken) -> Decision:
        """The decision about `call`; a cancel ends the question with no."""
        decided = self._approvals.decide(call)
        if decided is not None:
            return decided
        with console.without_status():
            console.lines(described(call))
            with typing():
                decision = _asked(cancel)
        self._approvals.remember(call, decision)
        return decision


def _asked(cancel: CancelToken) -> Decision:
    """One line from the user."""
    console.put(_QUESTION)
    line = b""
    while not cancel.cancelled:
        if not select.select([sys.stdin], [], [], _WAKE_S)[0]:
            continue
        piece = os.read(sys.stdin.fileno(), 4096)
        line += piece
        if not piece or line.endswith(b"\n"):
            return answer(line.decode("utf-8", "replace"))
    console.put("\n")
    return Decision(False, reason="the user stopped the answer")


def answer(line: str) -> Decision:
    """What a typed line decides; all that is not a clear yes is a no, and longer words are its reason."""
    word = line.strip()
    if scope := _SCOPES.get(word.lower()):
        return Decision(True, scope)
    return Decision(False, reason="" if word.lower() in ("", "n", "no") else word)


def described(call: ToolCall) -> str:
    """The call with every argument, one a line."""
    rows = [f"the model wants to run {call.name}"]
    for name, value in call.arguments.items():
        text = for_terminal(json.dumps(value, ensure_ascii=False))
        more = len(text) - _SHOWN_CHARACTERS
        rows.append(f"  {name}: {text[:_SHOWN_CHARACTERS]}" + (f" … and {more:,} more characters" if more > 0 else ""))
    return "\n".join(rows)


def tool_use(
    sources: Sequence[str], *, policy: Policy, choice: str = "auto", most_rounds: int = MOST_ROUNDS
) -> ToolUse:
    """The tools of these files and names, loaded, with the user to be asked before they run. Raises UsageError."""
    toolbox = load_toolbox(sources)
    known = ("auto", "none", "required", *toolbox.tools)
    if choice not in known:
        toolbox.close()
        hint = did_you_mean(choice, known, f"one of {', '.join(known)}")
        raise UsageError(f"--tool-choice {choice} names no tool", hint)
    interactive = console.is_terminal(sys.stdin) and console.is_terminal(sys.stderr)
    return ToolUse(
        toolbox, Consent(Approvals(toolbox.tools, policy=policy, interactive=interactive)), choice, most_rounds
    )
