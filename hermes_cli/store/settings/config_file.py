"""config.toml as a file: read within bounds, changed one key at a time with everything else kept as it stands."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hermes_cli import paths
from hermes_cli.errors import OutputError, UsageError
from hermes_cli.files import replace_whole
from hermes_cli.store.small_file import Unreadable, read_text

_LARGEST_BYTES = 1 << 16


def read() -> dict[str, Any]:
    """The keys and values; none where there is no file. Raises UsageError."""
    return _parsed(_text())


def put(name: str, value: str | int | float | bool) -> None:
    """Set one key, in its line where it has one. Raises UsageError, OutputError."""
    if isinstance(value, str) and not _is_unicode(value):
        what = f"{name} cannot be kept in {paths.config_file()}: its value is not UTF-8 text"
        raise UsageError(what, "rename the file, or name it each time with an option")
    with _alone():
        before = _text()
        expected = {**_parsed(before), name: value}
        document = _document(before)
        document[name] = value
        _replace(_checked(document.as_string(), expected))


def remove(name: str) -> bool:
    """Take one key out, with its line; False if it is not there. Raises UsageError, OutputError."""
    with _alone():
        before = _text()
        expected = _parsed(before)
        if name not in expected:
            return False
        del expected[name]
        document = _document(before)
        document.remove(name)
        _replace(_checked(document.as_string(), expected))
        return True


def create(text: str) -> bool:
    """Write a first file, for its owner's eyes only; False if there is one with a setting. Raises OutputError."""
    path = paths.config_file()
    with _alone():
        if os.path.lexists(path) and not (path.is_file() and path.stat().st_size == 0):
            return False
        _replace(text)
        return True


def _is_unicode(text: str) -> bool:
    """Whether `text` came from bytes that are UTF-8; others of the command line are half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text() -> str:
    path = paths.config_file()
    try:
        return read_text(path, _LARGEST_BYTES)
    except FileNotFoundError:
        return ""
    except Unreadable as fault:
        raise UsageError(f"{path} {fault}", "mend it: hermes config edit, or move it away") from fault
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", f"look at it: ls -ld '{path}'") from error


def _parsed(text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as error:
        # Beside faults of form, Python's own refusal of a number of thousands of digits.
        hint = 'mend it: hermes config edit; a text stands in quotes, as in color = "always"'
        raise UsageError(f"{paths.config_file()} is not TOML: {error}", hint) from error
    except RecursionError as error:
        raise UsageError(f"{paths.config_file()} nests too deeply", "mend it: hermes config edit") from error


def _document(text: str) -> Any:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text if text.endswith("\n") or not text else f"{text}\n")
    except TOMLKitError as error:
        raise _unchangeable() from error


def _checked(text: str, expected: dict[str, Any]) -> str:
    """`text`, if it says what it should and nothing else; the one who writes it is not the one who reads it."""
    import tomllib

    try:
        right = tomllib.loads(text) == expected
    except ValueError:
        right = False
    if not right:
        raise _unchangeable()
    return text


def _unchangeable() -> UsageError:
    return UsageError(
        f"cannot change {paths.config_file()} and keep the rest as it is", "change it: hermes config edit"
    )


@contextmanager
def _alone() -> Iterator[None]:
    """No other `hermes config` changes the file meanwhile. Failures to write become OutputError."""
    import fcntl

    folder = paths.config_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
    except OSError as error:
        what = f"cannot write {paths.config_file()}: {error.strerror}"
        raise OutputError(what, f"look at it: ls -ld '{folder}'") from error


def _replace(text: str) -> None:
    """The whole file at once; where it is a link, the file behind it."""
    replace_whole(Path(os.path.realpath(paths.config_file())), text)
