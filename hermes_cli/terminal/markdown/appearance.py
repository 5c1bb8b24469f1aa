"""How answers look, as the user's settings say: set once at the start, read where text is drawn."""

from dataclasses import dataclass

TERMINAL_THEME = "terminal"  # the terminal's own colours


@dataclass(frozen=True, slots=True)
class Appearance:
    """The theme of code, a Pygments style or TERMINAL_THEME, and the most columns that text takes."""

    theme: str = TERMINAL_THEME
    width: int = 100


_appearance = Appearance()


def use_appearance(appearance: Appearance) -> None:
    """The user's choice for the rest of the run."""
    global _appearance
    _appearance = appearance


def appearance() -> Appearance:
    """The user's choice."""
    return _appearance
