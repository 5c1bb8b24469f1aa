"""GGUF headers from where they are: a file here, or one on a web server, of which only the header is fetched."""

import http.client
from pathlib import Path
from types import TracebackType

from hermes_cli.errors import DownloadError, ModelNotFound
from hermes_cli.models import web
from hermes_cli.models.gguf_header import Header, read_header, whole
from hermes_cli.models.gguf_values import BadHeader
from hermes_cli.models.hub import RemoteFile
from hermes_cli.models.patience import Patience, Watcher
from hermes_cli.models.reference import all_parts


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


class _RemoteSource:
    """A file on a web server, by range requests; the blocks grow, because a vocabulary has megabytes."""

    def __init__(
        self, remote: RemoteFile, credentials: web.Credentials | None, patience: Patience, watcher: Watcher
    ) -> None:
        self._remote, self._credentials, self._patience, self._watcher = remote, credentials, patience, watcher
        self._block = 1 << 20
        self.size_bytes = remote.size_bytes

    def read(self, offset: int, count: int) -> bytes:
        count = max(count, self._block)
        self._block = min(2 * self._block, 8 << 20)
        data = self._patience.retry(lambda: self._fetch(offset, count), self._watcher)
        self._watcher.at(f"reading the header of {self._remote.name}", offset + len(data), None)
        return data

    def _fetch(self, offset: int, count: int) -> bytes:
        last = offset + count - 1 if self.size_bytes is None else min(offset + count, self.size_bytes) - 1
        headers = {"Range": f"bytes={offset}-{last}"}
        try:
            answer = web.open_url(self._remote.url, headers, self._credentials)
        except web.RangeRefused:
            return b""
        with answer.body:
            if answer.status != 206 and offset:
                raise DownloadError("the server cannot send parts of a file", "download it: hermes pull")
            try:
                data = answer.body.read(count)
            except (OSError, http.client.HTTPException) as problem:
                raise web.failure(problem, self._remote.url) from problem
        if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            raise web.Unreachable("the server sends another part than was asked for")
        if answer.status == 206 and answer.length is not None and len(data) < min(answer.length, count):
            raise web.Unreachable("the connection ended early")
        return data


def header_of(path: Path) -> Header:
    """The header of a file here. Raises ModelNotFound."""
    try:
        with _LocalSource(path) as source:
            return read_header(source)
    except OSError as problem:
        raise ModelNotFound(f"cannot read {path}: {problem.strerror}", f"look at it: ls -l '{path}'") from problem
    except BadHeader as problem:
        raise ModelNotFound(f"{path} {problem}", "download it again, or name another file") from problem


def model_header(path: Path) -> Header:
    """The header of a model here, with its other parts if `path` is the first of several. Raises ModelNotFound."""
    names = all_parts(path.name)
    parts = [path.with_name(name) for name in names] if names[0] == path.name else [path]
    return whole([header_of(part) for part in parts])


def remote_header(
    remote: RemoteFile, credentials: web.Credentials | None, patience: Patience, watcher: Watcher
) -> Header:
    """The header of a file on a web server. Raises DownloadError."""
    try:
        return read_header(_RemoteSource(remote, credentials, patience, watcher))
    except BadHeader as problem:
        raise DownloadError(f"{remote.name} {problem}", "name another file") from problem


def check_complete(path: Path, name: str) -> None:
    """Raise DownloadError if a downloaded file is shorter than its header says, or has none that can be read."""
    try:
        header = header_of(path)
        size = path.stat().st_size
    except (ModelNotFound, OSError) as problem:
        raise DownloadError(f"what came for {name} cannot be used: {problem}", "check the address") from problem
    if size < header.file_bytes:
        hint = "run the command again; if it fails again, the file on the server is cut short"
        raise DownloadError(f"{name} has {size:,} bytes, but its header tells of {header.file_bytes:,}", hint)
