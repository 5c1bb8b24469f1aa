"""Long text on a terminal, through the user's pager."""

import os
import shlex
import signal
import subprocess
import sys

from hermes_cli.terminal import console
from hermes_cli.terminal.signal_handlers import on_signals


def show(text: str) -> None:
    """Print `text`, which must be safe for a terminal, to stdout; if it is longer than the screen, through $PAGER."""
    _, rows = console.terminal_size()
    dumb = os.environ.get("TERM", "dumb") == "dumb" or "CI" in os.environ
    if dumb or not console.is_terminal(sys.stdout) or text.count("\n") < rows or not _paged(text):
        console.send_bytes(text.encode("utf-8", "replace"))


def _paged(text: str) -> bool:
    """Run a pager; whether it could be started. Ctrl-C goes to the pager while it runs."""
    command = shlex.split(os.environ.get("PAGER") or "less")
    environment = {"LESS": "FRX", **os.environ}
    with on_signals({signal.SIGINT: lambda number, frame: None}):
        try:
            subprocess.run(command, input=text.encode("utf-8", "replace"), env=environment, check=False)
        except (OSError, ValueError):
            return False
    return True
