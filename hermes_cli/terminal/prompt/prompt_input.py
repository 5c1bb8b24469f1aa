"""The next message of the user: a line editor where the terminal allows one, plain lines elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

PROMPT = "> "


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One completion: `text` in the place of the last `length` characters before the cursor, with a note."""

    text: str
    length: int
    note: str = ""


class PromptInput(Protocol):
    """Reads messages, one after the other, in the main thread."""

    def read(self, draft: str = "") -> str | None:
        """The next message; None at the end of the input. `draft` is put into the line to be edited.

        SIGTERM and SIGHUP raise SystemExit with their exit code, once the terminal is as it was.
        """

    def ask(self, label: str, draft: str = "") -> str | None:
        """A text that is not a message, such as a number or an edited text; empty if only Enter is pressed.

        None after Ctrl-C, and at the end of the input.
        """

    def fail(self, error: BaseException) -> None:
        """From any thread: a read in progress, or the next one, raises `error` at once with the terminal restored."""

    def refresh(self) -> None:
        """From any thread: the status has changed."""

    def print_above(self, act: Callable[[], None]) -> None:
        """From any thread: call `act`, which prints, in the main thread if there is a prompt and lines above it."""
