"""The user's settings for the look of answers, set once at the start."""

from typing import Literal

from hermes_cli.values import dataclass

TERMINAL_THEME = "terminal"  # the terminal's own colours


@dataclass(frozen=True, slots=True)
class Appearance:
    """The theme of code, a Pygments style or TERMINAL_THEME, and the most columns that text takes.

    `thinking` before an answer is shown or hidden; `notify` is the signal that a long answer is complete.
    """

    theme: str = TERMINAL_THEME
    width: int = 100
    thinking: Literal["show", "hide"] = "show"
    notify: Literal["off", "bell", "desktop"] = "off"


_appearance = Appearance()


def use_appearance(appearance: Appearance) -> None:
    """The user's choice for the rest of the run."""
    global _appearance
    _appearance = appearance


def appearance() -> Appearance:
    """The user's choice."""
    return _appearance
