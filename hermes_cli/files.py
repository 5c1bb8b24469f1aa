"""Durable and shared files: bounded reads, JSON records, atomic replacement, locks."""

import codecs
import dataclasses
import errno
import json
import os
import shlex
import stat
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

FULL = (errno.ENOSPC, errno.EDQUOT)  # of a disk, of what a user may have of it
_LARGEST_RECORD_BYTES = 1 << 20
_MARKS = (  # UTF-32's begin like those of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_Record = TypeVar("_Record")


class Unreadable(ValueError):
    """Why a file cannot be used: a phrase that follows the file's name."""


def read_bytes(path: Path, largest_bytes: int, *, pipes: bool = False) -> bytes:
    """The content of a regular file. Raises Unreadable for anything else and for a larger file, OSError as usual.

    A path that leads through a file raises FileNotFoundError. `pipes` reads a pipe too, as the shell's `<(COMMAND)`.
    """
    # O_NONBLOCK: opening a named pipe would wait for a writer.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except NotADirectoryError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    try:
        mode = os.fstat(descriptor).st_mode
        if pipes and stat.S_ISFIFO(mode):
            os.set_blocking(descriptor, True)
        elif not stat.S_ISREG(mode):
            raise Unreadable("is a folder, not a file" if stat.S_ISDIR(mode) else "is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(largest_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > largest_bytes:
        raise Unreadable(f"is larger than {largest_bytes >> 10} KiB")
    return data


def read_text(path: Path, largest_bytes: int, *, pipes: bool = False) -> str:
    """A file's text without a byte order mark. Raises as `read_bytes`, and Unreadable for other encodings."""
    data = read_bytes(path, largest_bytes, pipes=pipes)
    try:
        return data.decode(encoding_of(data))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unreadable(f"is not UTF-8 text: line {line}") from error


def encoding_of(data: bytes) -> str:
    """The codec for a text that begins like this: UTF-16 or UTF-32 by a byte order mark, else UTF-8."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8-sig")


def read_json(path: Path, largest_bytes: int = _LARGEST_RECORD_BYTES) -> Any:
    """The JSON value in a file. Raises OSError, and ValueError for a file that holds no JSON."""
    try:
        return json.loads(read_bytes(path, largest_bytes))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_record(path: Path, kind: type[_Record]) -> _Record | None:
    """The dataclass `kind` that `write_json` put into a file; None if the file is missing or holds anything else."""
    try:
        return as_record(read_json(path), kind)
    except (OSError, ValueError):
        return None


def read_records(path: Path, kind: type[_Record]) -> dict[str, _Record]:
    """The entries of a JSON object that are a `kind`, by key; others are skipped, as is any other file."""
    try:
        entries = read_json(path)
    except (OSError, ValueError):
        return {}
    found = {key: as_record(value, kind) for key, value in entries.items()} if isinstance(entries, dict) else {}
    return {key: record for key, record in found.items() if record is not None}


def as_record(value: object, kind: type[_Record]) -> _Record | None:
    """`value`, decoded from JSON, as the dataclass `kind`; None unless every field has its declared type.

    Fields may be scalars, Literals, unions, lists, tuples of one type, string-keyed dicts and other dataclasses.
    Unknown fields are ignored, missing ones take their default.
    """
    try:
        record: _Record = _typed(value, kind)
    except ValueError:
        return None
    return record


def write_json(path: Path, value: object) -> None:
    """Replace a private file with a value as JSON; dataclasses become objects, missing folders are made.

    Raises OSError.
    """
    make_private_folder(path.parent)
    replace_whole(path, json.dumps(value, indent=1, default=_fields) + "\n")


def replace_whole(file: Path, text: str) -> None:
    """Replace a file's content atomically, readable for its owner only. Raises OSError."""
    import tempfile

    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".hermes-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            to_disk(stream.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def make_private_folder(folder: Path) -> None:
    """Create a folder with mode 0700, and those above it. Raises OSError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error


def to_disk(descriptor: int) -> None:
    """Flush a file to stable storage; on macOS `fsync` alone leaves the data in the drive's cache."""
    import fcntl

    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # not every file system has it
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def folder_to_disk(folder: Path) -> None:
    """Flush the names in a folder to stable storage. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        to_disk(descriptor)
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file for this program until it is closed; False if another program holds the lock.

    `wait` waits for the other program. Where the file system has no locks, the answer is True.
    """
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def in_use(file: Path) -> bool:
    """Whether another program holds the lock on a file; False if that cannot be determined."""
    import fcntl

    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def check_hint(path: Path) -> str:
    """A hint for a path that cannot be used: how to look at it, or at the nearest folder above it that exists."""
    shown = _nearest(path)
    if shown != path.absolute() and not shown.is_dir():
        return folder_hint(shown)
    if shown == path.absolute().parent and os.access(shown, os.R_OK | os.X_OK):
        return f"check the name; to list the folder: ls {shlex.quote(str(shown))}"
    return f"check it: ls -ld {shlex.quote(str(shown))}"


def folder_hint(folder: Path) -> str:
    """`check_hint` for a folder that cannot be used: it may be a file, or be in one."""
    shown = _nearest(folder)
    if shown.is_dir():
        return check_hint(folder)
    variables = "set HOME, or HERMES_CLI_DATA_DIR, _CONFIG_DIR and _CACHE_DIR, to a folder"
    return f"{shown} is not a folder: {'move it away' if shown.is_file() else variables}"


def away_hint(path: Path) -> str:
    """A hint for a folder in the place of a file."""
    return f"move it away: mv {shlex.quote(str(path))} {shlex.quote(f'{path}.old')}"


def write_hint(path: Path, error: OSError) -> str:
    """A hint for a path that cannot be written: `check_hint`, or where to look if the disk or the quota is full."""
    if isinstance(error, NotADirectoryError):
        return folder_hint(path)
    if error.errno not in FULL:
        return check_hint(path)
    near = _nearest(path)
    return f"free some space: df -h {shlex.quote(str(near if near.is_dir() else near.parent))}"


def unwritable(folder: Path) -> str | None:
    """Why files cannot be saved in a folder, found by writing one there or where it would be made; None if they can."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=_nearest(folder), prefix=".hermes-") as file:
            file.write(b"hermes")
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _nearest(path: Path) -> Path:
    """The path, or the nearest one above it that exists."""
    found = path.absolute()
    while not os.path.lexists(found) and found != found.parent:
        found = found.parent
    return found


def _fields(value: object) -> dict[str, Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _typed(value: object, kind: Any) -> Any:
    """`value` converted to `kind`. Raises ValueError."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _typed_record(value, kind)
    if origin in (typing.Union, types.UnionType):
        return _first_typed(value, arguments)
    if origin is typing.Literal and value in arguments:
        return value
    if origin in (list, tuple) and isinstance(value, list):
        return origin(_typed(each, arguments[0]) for each in value)
    if (origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping))) and isinstance(value, dict):
        return {key: _typed(each, arguments[1]) for key, each in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)  # type: ignore[arg-type]
    if origin is None and type(value) is kind:
        return value
    raise ValueError(f"{value!r} is not a {kind}")


def _first_typed(value: object, kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        with suppress(ValueError):
            return _typed(value, kind)
    raise ValueError(f"{value!r} is none of {kinds}")


def _typed_record(value: object, kind: type) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is not an object")
    hints = typing.get_type_hints(kind)
    names = [each.name for each in dataclasses.fields(kind) if each.name in value]
    try:
        return kind(**{name: _typed(value[name], hints[name]) for name in names})
    except (TypeError, OverflowError) as error:  # a field without a default is missing, or a number is too large
        raise ValueError(str(error)) from error
