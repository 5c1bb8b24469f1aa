"""`--grammar` and the key of presets: a file in GBNF, or for presets its text."""

from pathlib import Path

from hermes_cli import paths
from hermes_cli.chat.request import MOST_GRAMMAR_BYTES
from hermes_cli.errors import UsageError
from hermes_cli.files import Unreadable, check_hint, read_text

_RULE = "::="


def is_grammar(text: str) -> bool:
    """Whether this is a grammar rather than the name of its file."""
    return _RULE in text


def load_grammar(name: str, folder: Path = Path()) -> str:
    """The text of a grammar file; its path is relative to `folder`. Raises UsageError."""
    path = folder / paths.expanded(name)
    try:
        return read_text(path, MOST_GRAMMAR_BYTES, pipes=True)
    except Unreadable as problem:
        raise UsageError(f"the grammar {path} {problem}", check_hint(path)) from problem
    except OSError as error:
        raise UsageError(f"cannot read the grammar {path}: {error.strerror or error}", check_hint(path)) from error
