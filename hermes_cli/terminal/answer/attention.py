"""A signal that a long answer is complete: a bell, or a notification of the desktop by the terminal."""

import sys

from hermes_cli.terminal import console
from hermes_cli.terminal.answer.appearance import appearance
from hermes_cli.terminal.sanitize import one_line

LONG_S = 20.0
_BELL = "\a"
_SHOWN_CHARACTERS = 60


def call_back(elapsed_s: float, text: str) -> None:
    """Signal on the terminal that the answer `text` is complete, if it took long.

    A desktop notification is asked for in both ways that terminals know, OSC 9 and OSC 777; others ignore them.
    """
    if elapsed_s < LONG_S or not console.is_terminal(sys.stderr):
        return
    if appearance().notify == "bell":
        console.put(_BELL)
    elif appearance().notify == "desktop":
        words = one_line(text).replace(";", ",")[:_SHOWN_CHARACTERS]
        console.put(f"\x1b]9;hermes: {words}{_BELL}\x1b]777;notify;hermes;{words}{_BELL}")
