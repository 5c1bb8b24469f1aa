"""The reasoning before an answer: dimmed on stderr if that is a terminal; it is not a part of the answer."""

import sys

from hermes_cli.terminal import console
from hermes_cli.terminal.answer.appearance import appearance
from hermes_cli.terminal.sanitize import for_terminal


class ThinkingView:
    """Prints the reasoning of one answer while it is generated."""

    def __init__(self) -> None:
        self._visible = appearance().thinking == "show" and console.is_terminal(sys.stderr)
        self._style, self._reset = ("\x1b[2m", "\x1b[0m") if console.colored() else ("", "")
        self._open = False

    def write(self, text: str) -> bool:
        """Print `text`; False where it is hidden."""
        if self._visible:
            label = "" if self._open else "thinking:\n"
            self._open = True
            console.put(f"{self._style}{label}{for_terminal(text)}{self._reset}")
        return self._visible

    def end(self) -> None:
        """End the printed reasoning with an empty line."""
        if self._open:
            console.put("\n\n")
            self._open = False
