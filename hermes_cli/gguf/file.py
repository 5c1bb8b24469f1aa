"""The headers of GGUF files here, and what the files are."""

from functools import lru_cache
from pathlib import Path
from types import TracebackType

from hermes_cli.errors import DownloadError, ModelNotFound
from hermes_cli.files import check_hint
from hermes_cli.gguf.header import Header, read_header, whole
from hermes_cli.gguf.kind import START_BYTES, kind_by_name, kind_of, other_format
from hermes_cli.gguf.parts import all_parts
from hermes_cli.gguf.values import BadHeader, HeaderCut


class CutShort(ModelNotFound):
    """The end of a file is missing: an unfinished download or copy."""


class _LocalSource:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.size_bytes: int | None = path.stat().st_size

    def read(self, offset: int, count: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(count) or b""

    def __enter__(self) -> "_LocalSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def header_of(path: Path) -> Header:
    """The header of a file here. Raises ModelNotFound."""
    try:
        with _LocalSource(path) as source:
            start = source.read(0, START_BYTES)
            if start[:4] != b"GGUF":
                raise not_gguf(path, start)
            return read_header(source)
    except OSError as problem:
        raise ModelNotFound(f"cannot read {path}: {problem.strerror}", check_hint(path)) from problem
    except BadHeader as problem:
        kind = CutShort if isinstance(problem, HeaderCut) else ModelNotFound
        raise kind(f"{path} {problem}", "download it again, or name another file") from problem


def not_gguf(path: Path, start: bytes) -> ModelNotFound:
    """The error for a file that begins with `start`, which names what it is."""
    what = other_format(start)
    hint = "download it again, or name another file"
    if "LFS" in what or "Xet" in what:
        hint = "get the file itself: git lfs pull in its repository, or hermes pull"
    return ModelNotFound(f"{path} is {what}", hint)


def facts_of(path: Path) -> Header | None:
    """The facts at the beginning of a GGUF here, in a millisecond; None for a file that cannot be read as one."""
    try:
        about = path.stat()
    except OSError:
        return None
    return _facts_of(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=4096)
def _facts_of(path: Path, size_bytes: int, changed_ns: int) -> Header | None:
    try:
        with _LocalSource(path) as source:
            return read_header(source, facts_only=True)
    except (OSError, BadHeader):
        return None


def kind_of_file(path: Path) -> str | None:
    """What a file here is that is not a chat model: `a vision projector`, `a web page`; None for all others."""
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError:
        return None
    if start[:4] != b"GGUF":
        return other_format(start)
    facts = facts_of(path)
    if facts is None:
        return kind_by_name(path.name)
    if facts.tensor_count == 0 and len(all_parts(path.name)) > 1:
        return None
    return kind_of(facts)


def model_header(path: Path) -> Header:
    """The header of a model here, with its other parts if `path` is the first of several.

    Raises ModelNotFound; CutShort if the end of a file is missing.
    """
    names = all_parts(path.name)
    parts = [path.with_name(name) for name in names] if names[0] == path.name else [path]
    return whole([_complete(part) for part in parts])


def refuse_cut(path: Path) -> None:
    """Raise CutShort if the end of a model's file is missing. What is not understood is left to llama.cpp."""
    try:
        model_header(path)
    except CutShort:
        raise
    except ModelNotFound:
        return


def _complete(path: Path) -> Header:
    header, size = header_of(path), path.stat().st_size
    if size < header.file_bytes:
        message = f"{path} is cut short: it needs {header.file_bytes:,} bytes and has {size:,}"
        raise CutShort(message, "download it again, or name another file")
    return header


def check_complete(path: Path, name: str) -> None:
    """Raise DownloadError if a downloaded file is shorter than its header says, or has none that can be read."""
    try:
        header = header_of(path)
        size = path.stat().st_size
    except (ModelNotFound, OSError) as problem:
        raise DownloadError(f"the download of {name} cannot be used: {problem}", "check the address") from problem
    if size < header.file_bytes:
        hint = "run the command again; if it fails again, the file on the server is cut short"
        raise DownloadError(f"{name} has {size:,} bytes, but its header says {header.file_bytes:,}", hint)
