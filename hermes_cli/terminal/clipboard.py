"""The system's clipboard; where there is none, the terminal's own is asked to take a text."""

import base64

from hermes_cli.errors import HermesError
from hermes_cli.terminal import console


def copy(text: str) -> None:
    """Put `text` on the clipboard: through the system's, else (as over SSH) by the OSC 52 sequence to the terminal."""
    import pyperclip

    try:
        pyperclip.copy(text)
    except (pyperclip.PyperclipException, OSError):
        console.put(f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode()}\x07")


def paste() -> str:
    """The text on the system's clipboard. Raises HermesError."""
    import pyperclip

    try:
        return str(pyperclip.paste())
    except (pyperclip.PyperclipException, OSError) as error:
        raise HermesError(
            "the clipboard cannot be read here", "install wl-clipboard or xclip, or paste into the prompt"
        ) from error
