"""KV states on disk, found by their first tokens. The folder can be deleted at any time.

An entry is an envelope (magic, version, fingerprint, the tokens, checksums) and the state that llama.cpp restores.
llama.cpp aborts on a truncated state, so it only gets states that are complete and unchanged.
"""

import hashlib
import os
import shutil
import stat
import struct
import time
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Literal

from hermes_cli.gguf.parts import all_parts
from hermes_cli.values import dataclass

START_TOKENS = 64  # entries are found by the hash of their first 64 tokens; shorter ones save no time
SUFFIX = ".kv"
_MAGIC, _VERSION = b"hermeskv", 1
# Magic, version, fingerprint, kind, tokens, state bytes, prompt tokens per second, checksum of the state.
_HEADER = struct.Struct("<8sI32sIIQdI")
_CHECKSUM = struct.Struct("<I")
_CHUNK_BYTES = 8 << 20
_SPARE_DISK_BYTES = 500_000_000
_ABANDONED_S = 3600.0

Kind = Literal["conversation", "opening"]
_KINDS: tuple[Kind, ...] = ("conversation", "opening")


@dataclass(frozen=True, slots=True)
class Entry:
    """The envelope of an entry: its tokens, and how fast they were processed."""

    path: Path
    kind: Kind
    tokens: list[int]
    state_bytes: int
    tokens_per_s: float
    checksum: int

    @property
    def restore_s(self) -> float:
        """A cautious estimate of how long it takes to load, check and restore the state."""
        return 0.005 + self.state_bytes / 5e8


class KvStore:
    """The entries of one model with its settings, in a folder shared with other models."""

    def __init__(self, folder: Path, limit_bytes: int, fingerprint: Callable[[], bytes]) -> None:
        """`fingerprint` returns 32 bytes that change when saved states become invalid; it is called on first use."""
        self.folder, self._limit_bytes, self._ask = folder, limit_bytes, fingerprint

    @cached_property
    def _fingerprint(self) -> bytes:
        return self._ask()

    def find(self, tokens: Sequence[int], context_length: int) -> tuple[Entry, int] | None:
        """The entry that shares the most first tokens with `tokens`, and their number; the smallest one of several."""
        found = [
            (shared, -entry.state_bytes, entry)
            for entry in self._similar(tokens)
            if len(entry.tokens) <= context_length and (shared := common_prefix(entry.tokens, tokens)) >= START_TOKENS
        ]
        if not found:
            return None
        shared, _, entry = max(found, key=lambda item: item[:2])
        return entry, shared

    def has_opening(self, tokens: Sequence[int]) -> bool:
        """Whether exactly these tokens are saved as an opening."""
        return any(entry.kind == "opening" and entry.tokens == tokens for entry in self._similar(tokens))

    def load(self, entry: Entry, may_continue: Callable[[], bool]) -> bytearray | None:
        """The state of `entry`, checked, or None; a damaged entry is deleted."""
        try:
            with _opened(entry.path) as file:
                file.seek(-entry.state_bytes, os.SEEK_END)
                state = bytearray(entry.state_bytes)
                view, checksum = memoryview(state), 0
                for start in range(0, entry.state_bytes, _CHUNK_BYTES):
                    if not may_continue():
                        return None
                    chunk = view[start : start + _CHUNK_BYTES]
                    if file.readinto(chunk) != len(chunk):
                        raise ValueError("shorter than before")
                    checksum = zlib.crc32(chunk, checksum)
                if checksum != entry.checksum:
                    raise ValueError("damaged")
            with suppress(OSError):
                os.utime(entry.path)  # the least recently used are removed first
            return state
        except (OSError, ValueError, MemoryError):
            self.forget(entry)
            return None

    def forget(self, entry: Entry) -> None:
        """Delete an entry."""
        with suppress(OSError):
            entry.path.unlink()

    def save(
        self, kind: Kind, tokens: Sequence[int], state: bytearray, tokens_per_s: float, may_continue: Callable[[], bool]
    ) -> bool:
        """Save a state; conversations that this one continues are deleted. False if it could not be saved."""
        header = _HEADER.pack(
            *(_MAGIC, _VERSION, self._fingerprint, _KINDS.index(kind), len(tokens), len(state), tokens_per_s),
            zlib.crc32(state),
        )
        head = header + array("i", tokens).tobytes()
        head += _CHECKSUM.pack(zlib.crc32(head))
        temporary = self.folder / f"{os.getpid()}-{os.urandom(8).hex()}.part"
        target = self.folder / f"{self._start(tokens)}-{_digest(head)}{SUFFIX}"
        size = len(head) + len(state)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if size > self._limit_bytes or shutil.disk_usage(self.folder).free < size + _SPARE_DISK_BYTES:
                return False
            trim(self.folder, self._limit_bytes - size)
            _write(temporary, (memoryview(head), memoryview(state)), may_continue)
            temporary.replace(target)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return False
        for entry in self._similar(tokens):
            is_older = entry.kind == "conversation" and len(entry.tokens) < len(tokens)
            if is_older and entry.tokens == list(tokens[: len(entry.tokens)]):
                self.forget(entry)
        return True

    def _start(self, tokens: Sequence[int]) -> str:
        """The start of the names of all entries that share the first tokens."""
        return f"{self._fingerprint.hex()[:16]}-{_digest(array('i', tokens[:START_TOKENS]).tobytes())}"

    def _similar(self, tokens: Sequence[int]) -> Iterator[Entry]:
        try:
            if len(tokens) < START_TOKENS or not self.folder.is_dir():
                return
            paths = list(self.folder.glob(f"{self._start(tokens)}-*{SUFFIX}"))
        except OSError:
            return
        for path in paths:
            try:
                yield self.read_entry(path)
            except OSError:
                continue
            except (ValueError, struct.error):
                with suppress(OSError):
                    path.unlink()

    def read_entry(self, path: Path) -> Entry:
        """The envelope of a file. Raises ValueError unless it is complete, unchanged and of this fingerprint."""
        with _opened(path) as file:
            header = file.read(_HEADER.size)
            magic, version, fingerprint, kind, count, state_bytes, tokens_per_s, checksum = _HEADER.unpack(header)
            length = _HEADER.size + 4 * count + _CHECKSUM.size + state_bytes
            if (magic, version, fingerprint) != (_MAGIC, _VERSION, self._fingerprint) or kind >= len(_KINDS):
                raise ValueError("not an entry of this model")
            if os.fstat(file.fileno()).st_size != length:
                raise ValueError("cut short")
            raw = file.read(4 * count)
            if _CHECKSUM.unpack(file.read(_CHECKSUM.size))[0] != zlib.crc32(header + raw):
                raise ValueError("damaged")
        return Entry(path, _KINDS[kind], array("i", raw).tolist(), state_bytes, tokens_per_s, checksum)


def size(folder: Path) -> tuple[int, int]:
    """The number of entries in the folder, and their size in bytes."""
    sizes = [found.st_size for _, found in _files(folder, SUFFIX)]
    return len(sizes), sum(sizes)


def trim(folder: Path, limit_bytes: int) -> None:
    """Delete the least recently used entries until the rest fits, and temporary files of killed writers."""
    entries = sorted(_files(folder, SUFFIX), key=lambda file: file[1].st_mtime)
    excess = sum(found.st_size for _, found in entries) - limit_bytes
    doomed = []
    for path, found in entries:
        if excess <= 0:
            break
        doomed.append(path)
        excess -= found.st_size
    doomed += [path for path, found in _files(folder, ".part") if abs(time.time() - found.st_mtime) > _ABANDONED_S]
    for path in doomed:
        with suppress(OSError):
            path.unlink()


def identity(model: Path) -> list[object]:
    """Bytes that change whenever the weights at `model` change: size, times, inode and samples of all its files."""
    facts: list[object] = []
    for part in filter(Path.exists, map(model.with_name, all_parts(model.name))):
        with part.open("rb") as file:
            found = os.fstat(file.fileno())
            samples = hashlib.sha256()
            for sixteenth in range(16):
                file.seek(found.st_size * sixteenth // 16)
                samples.update(file.read(4096))
        facts += [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, samples.hexdigest()]
    return facts


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """The length of the longest common prefix; compares slices, so that long ones are cheap."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _opened(path: Path) -> BufferedReader:
    """Open a regular file; a pipe or link could block or mislead. Raises OSError, ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("not a regular file")
    return os.fdopen(descriptor, "rb")


def _write(path: Path, parts: Sequence[memoryview], may_continue: Callable[[], bool]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as file:
        for part in parts:
            while part:
                if not may_continue():
                    raise InterruptedError
                part = part[file.write(part[:_CHUNK_BYTES]) :]


def _files(folder: Path, suffix: str) -> Iterator[tuple[Path, os.stat_result]]:
    with suppress(OSError):
        for path in folder.glob(f"*{suffix}"):
            with suppress(OSError):
                yield path, path.lstat()
