"""The system's clipboard; where there is none, the terminal's own is asked to take a text."""

import base64
import os
import sys

from hermes_cli.errors import HermesError
from hermes_cli.terminal import console


def copy(text: str) -> bool:
    """Put `text` on the clipboard: True if the system's took it.

    False if (as over SSH) the terminal was asked to by the OSC 52 sequence: it does not report success. Raises
    HermesError where neither is there.
    """
    import pyperclip

    data = text.encode("utf-8", "replace")
    try:
        pyperclip.copy(data.decode())
        return True
    except (pyperclip.PyperclipException, OSError) as error:
        if not console.is_terminal(sys.stderr) or os.environ.get("TERM", "dumb") == "dumb":
            raise HermesError(
                "there is no clipboard",
                "install wl-clipboard or xclip, or write the chat to a file: /export chat.md",
            ) from error
    console.put(f"\x1b]52;c;{base64.b64encode(data).decode()}\x07")
    return False


def paste() -> str:
    """The text on the system's clipboard. Raises HermesError."""
    import pyperclip

    try:
        return str(pyperclip.paste())
    except (pyperclip.PyperclipException, OSError) as error:
        raise HermesError(
            "the clipboard cannot be read", "install wl-clipboard or xclip, or paste into the prompt"
        ) from error
