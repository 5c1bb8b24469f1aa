"""The text of a one-shot prompt: arguments, piped text and files."""

import os
from collections.abc import Sequence
from pathlib import Path

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.stdin import STDIN, read_stdin, stdin_is_data
from hermes_cli.terminal.text_file import between_tags, read_text, wrapped_files

_LONGEST_NAME = 255


def prompt_text(words: Sequence[str], files: Sequence[Path], timeout_s: float | None = None) -> str:
    """The words, then a blank line and stdin as it is, then each file wrapped with its name.

    `-` as the last word reads stdin; anywhere else it is a word, as in 5 - 3. A file `-` is stdin, wrapped like a file.
    Raises UsageError, and TimeoutError if stdin does not end within `timeout_s`.
    """
    asked_for = bool(words) and words[-1] == STDIN
    as_file = Path(STDIN) in files
    if asked_for and as_file:
        raise UsageError("stdin can be read only once", "omit - or -f -")
    words = words[:-1] if asked_for else words
    _print_file_words(words)
    # An argument that is not UTF-8 comes in with lone surrogates.
    parts = [" ".join(words).encode("utf-8", "replace").decode()]
    if not as_file and (asked_for or stdin_is_data()):
        parts.append(read_stdin(timeout_s, asked_for=asked_for or not words))
    for path in files:
        parts += [between_tags("stdin", read_stdin(timeout_s))] if path == Path(STDIN) else wrapped_files((path,))
    text = "\n\n".join(part for part in parts if part)
    if not text.strip():
        raise UsageError("the prompt is empty", 'ask something: hermes ask "Hello, who are you?"')
    return text


def system_text(value: str | None) -> str | None:
    """The system prompt; `@FILE` reads it from a file."""
    if value is None or not value.startswith("@"):
        return value
    return read_text(Path(value[1:]))


def _print_file_words(words: Sequence[str]) -> None:
    """Print a notice about words that name files: the shell may have expanded a pattern after -f."""
    found = [word for word in words if len(word) <= _LONGEST_NAME and os.path.isfile(word)]  # noqa: PTH113
    if found:
        what = f"{', '.join(found)} {'is a word' if len(found) == 1 else 'are words'} of the prompt"
        console.notice(f"{what}; to add a file: -f {found[0]}, or -f and a quoted pattern")
