"""The user's own editor, opened on a file."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from hermes_cli.errors import HermesError, UsageError
from hermes_cli.terminal.console import is_terminal


def on_terminal() -> bool:
    """Whether a person can type into an editor here."""
    return is_terminal(sys.stdin) and (is_terminal(sys.stdout) or is_terminal(sys.stderr))


def find(path: Path) -> str:
    """The command of the editor for `path`: $VISUAL or $EDITOR, on a terminal otherwise vi. Raises UsageError."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("vi" if on_terminal() else "")
    if not command.strip():
        yourself = f", or change the file yourself: {path}" if path.exists() else ", for example: export EDITOR=nano"
        raise UsageError("no editor found", f"set EDITOR{yourself}")
    return command


def edit(path: Path) -> None:
    """Open `path` in the user's editor, and wait until it is closed."""
    command = find(path)
    # An editor draws on stdout, which may be a file for the answers.
    screen = sys.stderr if is_terminal(sys.stderr) and not is_terminal(sys.stdout) else None
    try:
        code = subprocess.run([*shlex.split(command), path], stdout=screen).returncode
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot start the editor {command}: {why}", "set EDITOR to an installed one") from error
    if code:
        raise HermesError(f"the editor {command} ended with code {code}", f"the file is {path}")
