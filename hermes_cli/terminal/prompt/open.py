"""The prompt for this terminal: a line editor where it allows one, plain lines elsewhere."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from hermes_cli.terminal import console
from hermes_cli.terminal.prompt.prompt_input import PromptInput, Suggestion


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
