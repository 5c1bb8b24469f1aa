"""The header of a GGUF file on a web server, of which nothing else is fetched."""

import http.client

from hermes_cli.errors import DownloadError
from hermes_cli.gguf.header import Header, read_header
from hermes_cli.gguf.values import BadHeader
from hermes_cli.models.download import web
from hermes_cli.models.download.hub import RemoteFile
from hermes_cli.models.download.patience import Patience, Watcher


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


def remote_header(
    remote: RemoteFile, credentials: web.Credentials | None, patience: Patience, watcher: Watcher
) -> Header:
    """The header of a file on a web server. Raises DownloadError."""
    try:
        return read_header(_RemoteSource(remote, credentials, patience, watcher))
    except BadHeader as problem:
        raise DownloadError(f"{remote.name} {problem}", "name another file") from problem
