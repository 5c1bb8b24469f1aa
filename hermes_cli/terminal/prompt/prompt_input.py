"""The next message of the user: a line editor where the terminal allows one, plain lines elsewhere."""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hermes_cli.terminal import console

PROMPT = "> "


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One completion: `text` in the place of the last `length` characters before the cursor, and a note beside it."""

    text: str
    length: int
    note: str = ""


class PromptInput(Protocol):
    """Reads messages, one after the other, in the main thread."""

    def read(self, draft: str = "") -> str | None:
        """The next message; None at the end of the input. `draft` is put into the line to be edited.

        SIGTERM and SIGHUP raise SystemExit with their exit code, once the terminal is as it was.
        """

    def fail(self, error: BaseException) -> None:
        """From any thread: a read in progress, or the next one, raises `error` at once with the terminal restored."""

    def refresh(self) -> None:
        """From any thread: the status has changed."""

    def print_above(self, act: Callable[[], None]) -> None:
        """From any thread: call `act`, which prints, in the main thread if there is a prompt and lines above it."""


def open_prompt(
    *,
    complete: Callable[[str], Iterable[Suggestion]],
    status: Callable[[], list[tuple[str, str]] | str],
    history_file: Path | None,
    vi_mode: bool = False,
    shown: Callable[[], None] = lambda: None,
) -> PromptInput:
    """The prompt for this terminal.

    `complete` gets the text before the cursor, `status` gives (style, text) pairs, and `shown` is called with every
    prompt that a person sees.
    """
    if not _editable():
        from hermes_cli.terminal.prompt.line_input import LineInput

        return LineInput(shown)
    from hermes_cli.terminal.prompt.line_editor import LineEditor

    return LineEditor(complete=complete, status=status, history_file=history_file, vi_mode=vi_mode, shown=shown)


def _editable() -> bool:
    """Whether a person types on a terminal that obeys control codes, and sees it on stdout or stderr."""
    if os.environ.get("TERM", "") in ("", "dumb", "unknown") or "CI" in os.environ:
        return False
    return console.is_terminal(sys.stdin) and (console.is_terminal(sys.stdout) or console.is_terminal(sys.stderr))
