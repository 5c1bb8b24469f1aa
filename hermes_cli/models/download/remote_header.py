"""The header of a GGUF file on a web server, of which nothing else is fetched."""

from hermes_cli.errors import DownloadError
from hermes_cli.gguf.header import Header, read_header
from hermes_cli.gguf.values import BadHeader
from hermes_cli.models.download import web
from hermes_cli.models.download.hub import RemoteFile
from hermes_cli.network.exchange import joined_blocks


class _RemoteSource:
    """A file on a web server, by range requests; the blocks grow, because a vocabulary has megabytes."""

    def __init__(
        self, remote: RemoteFile, credentials: web.Credentials | None, retries: web.Retries, progress: web.Progress
    ) -> None:
        self._remote, self._credentials, self._retries, self._progress = remote, credentials, retries, progress
        self._block = 1 << 20
        self.size_bytes = remote.size_bytes

    def read(self, offset: int, count: int) -> bytes:
        count = max(count, self._block)
        self._block = min(2 * self._block, 8 << 20)
        data = self._retries.run(lambda silence_s: self._fetch(offset, count, silence_s), self._progress)
        self._progress.update(f"reading the header of {self._remote.name}", offset + len(data), None)
        return data

    def _fetch(self, offset: int, count: int, silence_s: float) -> bytes:
        last = offset + count - 1 if self.size_bytes is None else min(offset + count, self.size_bytes) - 1
        headers = {"Range": f"bytes={offset}-{last}"}
        try:
            with web.open_url(self._remote.url, headers, self._credentials, silence_s) as answer:
                if answer.status != 206 and offset:
                    raise DownloadError("the server cannot send parts of a file", "download it: hermes pull")
                if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                    raise web.Unreachable("the server sends another part than requested")
                return joined_blocks(answer.blocks(), count)[:count]
        except web.RangeRefused:
            return b""


def remote_header(
    remote: RemoteFile, credentials: web.Credentials | None, retries: web.Retries, progress: web.Progress
) -> Header:
    """The header of a file on a web server. Raises DownloadError."""
    try:
        return read_header(_RemoteSource(remote, credentials, retries, progress))
    except BadHeader as problem:
        raise DownloadError(f"{remote.name} {problem}", "name another file") from problem
