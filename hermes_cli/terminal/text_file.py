"""Text files that go into a prompt."""

import glob
import os
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from hermes_cli.errors import UsageError
from hermes_cli.terminal import console

LARGEST_BYTES = 64 << 20
_BYTE_ORDER_MARK = "\ufeff"
_GLOB = "*?["
_CHECKED_BYTES = 1 << 13  # a NUL in the first bytes: not a text


def wrapped_files(paths: Iterable[Path]) -> list[str]:
    """The files at these paths, patterns such as `*.py` and folders, each between tags that name it.

    Folders are searched to the bottom; hidden files in them, and files that are not text, are skipped. Raises
    UsageError.
    """
    return [text for path in paths for text in _wrapped_at(path)]


def wrapped(path: Path) -> str:
    """A file's text between tags that name it. Raises UsageError."""
    return between_tags(path.name, read_text(path))


def between_tags(name: str, text: str) -> str:
    """`text` between tags that name the file it is from."""
    return f'<file name="{escape(" ".join(name.split()))}">\n{text}\n</file>'


def read_text(path: Path) -> str:
    """A text file without its last newline; bytes that are not UTF-8 are replaced, with a notice. Raises UsageError."""
    try:
        with open(os.path.expanduser(path), "rb") as file:  # noqa: PTH111, PTH123 - pathlib raises for unknown users
            data = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a NUL, or of no bytes
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read {path}: {why}", "check the name of the file") from error
    if len(data) <= LARGEST_BYTES and _is_binary(data):
        raise UsageError(f"{path} is not a text file", "convert it to text (UTF-8) first")
    return decoded(data, str(path))


def decoded(data: bytes, source: str) -> str:
    """`data` as text without byte order mark and last newline, at most LARGEST_BYTES of it. Raises UsageError."""
    if len(data) > LARGEST_BYTES:
        raise UsageError(f"{source} is larger than {LARGEST_BYTES >> 20} MiB", "give a part of it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        console.notice(f"{source} is not UTF-8; invalid bytes were replaced by U+FFFD")
    return text.removeprefix(_BYTE_ORDER_MARK).removesuffix("\n").removesuffix("\r")


def _wrapped_at(path: Path) -> Iterator[str]:
    expanded = Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises for unknown users
    if expanded.is_dir():
        yield from _wrapped_all(path, sorted(_files_below(expanded)), expanded.parent)
    elif any(sign in str(path) for sign in _GLOB) and not expanded.exists():
        found = (Path(name) for name in glob.glob(str(expanded), recursive=True))  # noqa: PTH207 - absolute ones too
        yield from _wrapped_all(path, sorted(one for one in found if one.is_file()), None)
    else:
        yield wrapped(path)


def _wrapped_all(origin: Path, files: list[Path], base: Path | None) -> Iterator[str]:
    """The text files among `files`, named relative to `base`. Raises UsageError if there are none."""
    texts = [file for file in files if not _looks_binary(file)]
    if not texts:
        raise UsageError(f"{origin}: no text files found", "check the name or the pattern")
    if skipped := len(files) - len(texts):
        console.notice(f"skipped {skipped:,} file{'s' if skipped > 1 else ''} in {origin}: not readable as text")
    for file in texts:
        yield between_tags(file.name if base is None else str(file.relative_to(base)), read_text(file))


def _files_below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith("."))


def _looks_binary(file: Path) -> bool:
    """Whether a file is not text, or not a file that can be read to its end."""
    try:
        if not file.is_file():
            return True
        with file.open("rb") as opened:
            return _is_binary(opened.read(_CHECKED_BYTES))
    except OSError:
        return True


def _is_binary(data: bytes) -> bool:
    return b"\0" in data[:_CHECKED_BYTES]
