"""The text of a one-shot prompt: arguments, piped text and attachments."""

import os
from collections.abc import Sequence

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.attachments.attachment import Attachment, joined
from hermes_cli.terminal.attachments.sources import STDIN, attachments_at
from hermes_cli.terminal.stdin import read_stdin, stdin_is_data
from hermes_cli.values import dataclass

_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Prompt:
    """A whole prompt, and the attachments in it."""

    text: str
    attachments: tuple[Attachment, ...] = ()


def read_prompt(words: Sequence[str], files: Sequence[str]) -> Prompt:
    """The words, then a blank line and stdin as it is, then each attachment wrapped with its name.

    `-` as the last word reads stdin; anywhere else it is a word, as in 5 - 3. A file `-` is stdin, wrapped like a file.
    Raises UsageError, and ToolFailed for an MCP server that does not work.
    """
    asked_for = bool(words) and words[-1] == STDIN
    if asked_for + list(files).count(STDIN) > 1:
        raise UsageError("stdin can be read only once", "omit - or -f -")
    words = words[:-1] if asked_for else words
    _print_file_words(words)
    # An argument that is not UTF-8 comes in with lone surrogates.
    parts = [" ".join(words).encode("utf-8", "replace").decode()]
    if STDIN not in files and (asked_for or stdin_is_data()):
        parts.append(read_stdin(asked_for=asked_for or not words))
    attachments = attachments_at(files, read_stdin)
    text = joined("\n\n".join(filter(None, parts)), attachments)
    if not text.strip():
        raise UsageError("the prompt is empty", 'ask something: hermes ask "Hello, who are you?"')
    return Prompt(text, tuple(attachments))


def _print_file_words(words: Sequence[str]) -> None:
    """Print a notice about words that name files: the shell may have expanded a pattern after -f."""
    found = [word for word in words if len(word) <= _LONGEST_NAME and os.path.isfile(word)]  # noqa: PTH113
    if found:
        one = len(found) == 1
        what = "is a word of the prompt, not an attachment" if one else "are words of the prompt, not attachments"
        console.notice(f"{', '.join(found)} {what}; to attach a file: -f {found[0]}; put patterns in quotes")
