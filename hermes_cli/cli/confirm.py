"""Confirmation before an action that cannot be undone or takes long."""

import sys

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.sanitize import one_line


def agreed(question: str, *, otherwise: bool = False) -> bool:
    """Whether the user answers yes. Enter alone means `otherwise`; anything else means no."""
    console.put(f"{one_line(question)} [{'Y/n' if otherwise else 'y/N'}]: ")
    line = sys.stdin.readline()
    if not line:
        console.put("\n")
        return False
    word = line.strip().lower()
    return word in ("y", "yes") if word else otherwise


def confirmed(question: str, hint: str, *, otherwise: bool = False) -> bool:
    """`agreed`, where the user can be asked; raises UsageError as `check_terminal`."""
    check_terminal(hint)
    return agreed(question, otherwise=otherwise)


def check_terminal(hint: str) -> None:
    """Raise UsageError if stdin is not a terminal; `hint` names the command that does not ask."""
    if not console.is_terminal(sys.stdin):
        raise UsageError("cannot ask for confirmation: stdin is not a terminal", hint)
