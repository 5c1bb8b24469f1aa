"""The sources of attachments: `attachments_at` reads the source that a word names.

A new kind of source is one more case there; `ask`, `chat`, `/attach` and `--map` all come through it.
"""

import glob
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.attachments.attachment import Attachment
from hermes_cli.terminal.attachments.folder import ANY_DEPTH, files_below, files_matching
from hermes_cli.terminal.attachments.text_file import NotText, read_text

if TYPE_CHECKING:
    from hermes_cli.tools.mcp import McpTools

STDIN = "-"
_URLS = ("http://", "https://")
_GLOB = "*?["
_NAMED = 5  # skipped files named in a notice
_MOST_FILES = 5000  # of a folder or a pattern
_MOST_MIB = 16  # of their text, far more than a context holds
_NARROWER = "attach less: a folder in it, or a quoted pattern such as -f 'docs/**/*.md'"


def attachments_at(
    sources: Iterable[str], read_stdin: Callable[[], str] | None = None, servers: "McpTools | None" = None
) -> list[Attachment]:
    """What files, folders, patterns such as `**/*.py`, URLs, `mcp:NAME/URI` and, with `read_stdin`, `-` hold.

    Folders and `**` leave out hidden files, those that .gitignore names, and what is not text, with a notice. Of the
    MCP servers, those in `servers` run already. Raises UsageError, and ToolFailed for an MCP server that does not work.
    """
    return [found for source in sources for found in _at(source, read_stdin, servers)]


def _at(source: str, read_stdin: Callable[[], str] | None, servers: "McpTools | None") -> list[Attachment]:
    if source == STDIN and read_stdin:
        return [Attachment("stdin", read_stdin())]
    if source.lower().startswith(_URLS):
        from hermes_cli.terminal.attachments.page import page_at

        return [page_at(source)]
    if source.startswith("mcp:"):
        from hermes_cli.terminal.attachments.resource import resource_at

        return [resource_at(source, servers)]
    path = Path(os.path.expanduser(source))  # noqa: PTH111 - pathlib raises for unknown users
    if os.path.isdir(path):  # noqa: PTH112 - pathlib raises for names that are too long
        return _texts(source, files_below(path), path.absolute().parent)
    if any(sign in source for sign in _GLOB) and not os.path.lexists(path):
        return _texts(source, _matching(str(path)), None)
    if "://" in source and not os.path.lexists(path):
        raise UsageError(f"cannot read {source}: not an https:// or http:// address", "save the text to a file")
    return [Attachment(path.name, read_text(path))]


def _matching(pattern: str) -> Iterable[Path]:
    """The files that a pattern names; with `**`, those that are ignored are left out."""
    if ANY_DEPTH in pattern.split("/"):
        return files_matching(pattern)
    found = (Path(name) for name in glob.glob(pattern))  # noqa: PTH207 - absolute ones too
    return (one for one in found if os.path.isfile(one))  # noqa: PTH113 - pathlib raises without permission


def _texts(source: str, files: Iterable[Path], base: Path | None) -> list[Attachment]:
    """The files that are text, sorted, named relative to `base` or as they are.

    Raises UsageError if there are none, or too many.
    """
    found, skipped = list[Attachment](), list[str]()
    status, size = console.StatusLine(), 0
    try:
        status.show(f"looking for files in {source}")
        chosen = sorted(itertools.islice(files, _MOST_FILES + 1))
        if len(chosen) > _MOST_FILES:
            raise UsageError(f"{source} has more than {_MOST_FILES:,} files", _NARROWER)
        for number, file in enumerate(chosen, 1):
            status.show(f"reading {source}: file {number:,} of {len(chosen):,}")
            try:
                text = read_text(file)
            except UsageError as problem:
                skipped.append(f"{file.name} ({problem.reason if isinstance(problem, NotText) else 'not readable'})")
                continue
            found.append(Attachment(str(file if base is None else file.absolute().relative_to(base)), text))
            size += len(text)
            if size > _MOST_MIB << 20:
                raise UsageError(f"{source} has more than {_MOST_MIB} MiB of text in {len(chosen):,} files", _NARROWER)
    finally:
        status.erase()
    if not found:
        hint = f"skipped: {', '.join(skipped[:_NAMED])}" if skipped else "check the name or the pattern"
        raise UsageError(f"{source}: no text files found", hint)
    if skipped:
        more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
        console.notice(f"skipped in {source}: {', '.join(skipped[:_NAMED])}{more}")
    return found
