"""config.toml as a file: read, and changed one key at a time with comments and order preserved."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hermes_cli import files, paths
from hermes_cli.errors import OutputError, UsageError

_LARGEST_BYTES = 1 << 16
_FIX = "fix it: hermes config edit"


def read() -> dict[str, Any]:
    """The keys and values, empty if there is no file. Raises UsageError."""
    return _parsed(_text())


def put(name: str, value: str | int | float | bool) -> None:
    """Set one key, in its line if it has one. Raises UsageError, OutputError."""
    if isinstance(value, str) and not _is_unicode(value):
        what = f"{name} cannot be saved in {paths.config_file()}: its value is not UTF-8 text"
        raise UsageError(what, "rename the file, or name it each time with an option")
    with _locked():
        document = _document()
        document[name] = value
        _replace(document.as_string())


def put_in_table(path: Sequence[str], values: Mapping[str, Any]) -> None:
    """Set keys of a table, which is made if it is not there. Raises UsageError, OutputError."""
    import tomlkit

    with _locked():
        document = _document()
        place: Any = document
        for depth, part in enumerate(path, 1):
            if part not in place:
                place[part] = tomlkit.table(is_super_table=depth < len(path))
            place = place[part]
        place.update(values)
        _replace(document.as_string())


def remove_from_table(path: Sequence[str], name: str) -> None:
    """Remove one key of a table, and the table if it is empty then. Raises UsageError, OutputError."""
    with _locked():
        document = _document()
        places: list[Any] = [document]
        for part in path:
            places.append(places[-1][part])
        places[-1].remove(name)
        for part, outer in zip(reversed(path), reversed(places[:-1]), strict=True):
            if not outer[part]:
                outer.remove(part)
        _replace(document.as_string())


def remove(name: str) -> bool:
    """Remove one key with its line; False if it is not there. Raises UsageError, OutputError."""
    with _locked():
        document = _document()
        if name not in document:
            return False
        document.remove(name)
        _replace(document.as_string())
        return True


def create(text: str) -> bool:
    """Write a first private file; False if there is a file that is not empty. Raises OutputError."""
    path = paths.config_file()
    with _locked():
        if os.path.lexists(path) and not (path.is_file() and path.stat().st_size == 0):
            return False
        _replace(text)
        return True


def _is_unicode(text: str) -> bool:
    """Whether `text` came from UTF-8 bytes; other bytes of the command line are lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text() -> str:
    path = paths.config_file()
    try:
        return files.read_text(path, _LARGEST_BYTES)
    except FileNotFoundError:
        return ""
    except files.Unreadable as fault:
        away = files.away_hint(path)
        raise UsageError(f"{path} {fault}", f"{_FIX}, or {away}" if path.is_file() else away) from fault
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", files.check_hint(path)) from error


def _parsed(text: str) -> dict[str, Any]:
    if not text:
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        hint = f'{_FIX}; text needs quotes, as in color = "always"'
        raise UsageError(f"{paths.config_file()} is not TOML: {error}", hint) from error


def _document() -> Any:
    """The file as tomlkit holds it, with comments. Raises UsageError."""
    import tomlkit

    text = _text()
    _parsed(text)
    return tomlkit.parse(text if text.endswith("\n") or not text else f"{text}\n")


@contextmanager
def _locked() -> Iterator[None]:
    """No other `hermes config` changes the file meanwhile. Failures to write become OutputError."""
    folder = paths.config_folder()
    try:
        files.make_private_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            files.lock(descriptor, wait=True)
            yield
        finally:
            os.close(descriptor)
    except OSError as error:
        what = f"cannot write {paths.config_file()}: {error.strerror}"
        raise OutputError(what, files.write_hint(folder, error)) from error


def _replace(text: str) -> None:
    """Replace the file, or the target if it is a link."""
    files.replace_whole(Path(os.path.realpath(paths.config_file())), text)
