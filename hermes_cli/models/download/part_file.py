"""An unfinished download: `NAME.part`, locked for one program, with a record of the file it belongs to."""

import errno
import hashlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes_cli import paths
from hermes_cli.errors import DownloadError
from hermes_cli.files import check_hint, folder_to_disk, lock, read_json, to_disk, write_json

_BLOCK_BYTES = 1 << 20
_SPARE_BYTES = 64_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PartFile:
    """The bytes so far and their checksum. `restart` deletes them; `finish` gives the file its name."""

    def __init__(self, target: Path, handle: int) -> None:
        self.target = target
        self._handle = handle
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def identity(self) -> dict[str, str]:
        """The identity of the file, as given to `restart`; empty if there is no record."""
        with suppress(OSError, ValueError):
            known = read_json(_facts(self.target))
            if isinstance(known, dict):
                return {name: text for name, text in known.items() if isinstance(text, str) and text.isprintable()}
        return {}

    def found_bytes(self) -> int:
        """How many bytes an earlier download left."""
        return os.fstat(self._handle).st_size

    def resume(self, progress: Callable[[int], None]) -> None:
        """Hash what an earlier download left, so that more can be appended."""
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        block = memoryview(bytearray(_BLOCK_BYTES))
        os.lseek(self._handle, 0, os.SEEK_SET)
        while count := os.readv(self._handle, [block]):
            self._hash.update(block[:count])
            self.size_bytes += count
            progress(self.size_bytes)

    def restart(self, identity: dict[str, str | None]) -> None:
        """Delete all bytes; the next ones are a part of `identity`. Raises DownloadError."""
        try:
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
            write_json(_facts(self.target), identity)
        except OSError as problem:
            raise write_error(self.target, problem) from problem
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def append(self, data: memoryview) -> None:
        """Add bytes at the end. Raises DownloadError."""
        self._hash.update(data)
        self.size_bytes += len(data)
        try:
            while data:
                data = data[os.write(self._handle, data) :]
        except OSError as problem:
            raise write_error(self.target, problem) from problem

    @property
    def sha256(self) -> str:
        """The checksum of the bytes so far."""
        return self._hash.hexdigest()

    def finish(self) -> None:
        """Put the file in place, safe from a loss of power. Raises DownloadError."""
        try:
            to_disk(self._handle)
            _part(self.target).replace(self.target)
            _facts(self.target).unlink(missing_ok=True)
            folder_to_disk(self.target.parent)
        except OSError as problem:
            raise write_error(self.target, problem) from problem

    def discard(self) -> None:
        """Remove the part. Its record goes first: as soon as the part is gone, another program may begin one."""
        with suppress(OSError):
            _facts(self.target).unlink()
        with suppress(OSError):
            _part(self.target).unlink()

    def discard_if_empty(self) -> None:
        """Remove an empty part, if it still has its name. A program that waits for its lock makes a new one."""
        with suppress(OSError):
            found = os.fstat(self._handle)
            if found.st_size == 0 and os.path.samestat(found, _part(self.target).stat()):
                self.discard()


@contextmanager
def part_file(target: Path, busy: Callable[[], None]) -> Iterator[PartFile | None]:
    """The part for `target`, locked for this program; None if another program finished the file meanwhile.

    Where another program has it, `busy` is called once and this waits. A failure removes it if it is empty.
    Raises DownloadError.
    """
    try:
        handle = _locked(target, busy)
    except OSError as problem:
        raise write_error(target, problem) from problem
    if handle < 0:
        yield None
        return
    part = PartFile(target, handle)
    try:
        yield part
    except BaseException:
        part.discard_if_empty()
        raise
    finally:
        os.close(handle)


def part_bytes(target: Path) -> int:
    """How much of `target` an earlier download left."""
    try:
        return _part(target).stat().st_size
    except OSError:
        return 0


def check_room(target: Path, missing_bytes: int) -> None:
    """Raise DownloadError if the disk has no room for `missing_bytes` more at `target`; its folder is made."""
    folder = target.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        raise write_error(target, problem) from problem
    if missing_bytes > 0 and missing_bytes + _SPARE_BYTES > free:
        raise DownloadError(
            f"{target.name} needs {missing_bytes / 1e9:.2f} GB more, and there are {free / 1e9:.2f} GB free in "
            f"{paths.models_folder()}",
            "free some space, take a smaller quant, or set HERMES_CLI_DATA_DIR to another disk",
        )


def write_error(target: Path, problem: OSError) -> DownloadError:
    """The error for a file that cannot be written."""
    if problem.errno in _FULL:
        return DownloadError(
            f"no room for {target.name}: {problem.strerror}",
            f"free some space and run the command again to resume: df -h {shlex.quote(str(target.parent))}",
        )
    place = problem.filename or target
    return DownloadError(f"cannot write {place}: {problem.strerror}", check_hint(Path(place)))


def _locked(target: Path, busy: Callable[[], None]) -> int:
    """An open part file with its lock; -1 if the target is there by then."""
    part = _part(target)
    is_waiting = False
    while True:
        if target.exists():
            return -1
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            continue  # another program gave up and removed the empty folder
        if not lock(handle):
            try:
                if not is_waiting:
                    busy()
                    is_waiting = True
                lock(handle, wait=True)
            except BaseException:
                os.close(handle)
                raise
        # The lock may be on a file that was renamed or removed meanwhile.
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle), part.stat()):
                if not target.exists():
                    return handle
                part.unlink()
        os.close(handle)


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _facts(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")
