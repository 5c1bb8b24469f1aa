"""A question before something is done that cannot be taken back, or takes long."""

import sys

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.sanitize import one_line


def agreed(question: str, *, otherwise: bool = False) -> bool:
    """Whether the user says yes; Enter alone means `otherwise`, and what is no clear yes is a no."""
    console.put(f"{one_line(question)} [{'Y/n' if otherwise else 'y/N'}]: ")
    line = sys.stdin.readline()
    if not line:
        console.put("\n")
        return False
    word = line.strip().lower()
    return word in ("y", "yes") if word else otherwise


def check_somebody_is_here(hint: str) -> None:
    """Raise UsageError where stdin is no terminal, with how to go on without a question."""
    if not console.is_terminal(sys.stdin):
        raise UsageError("nobody is here to confirm", hint)
