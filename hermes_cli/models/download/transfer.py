"""Downloads one file: resumes, retries, hashes it as it arrives, and renames it only when it is complete."""

import re
from collections.abc import Callable
from pathlib import Path

from hermes_cli.errors import DownloadError
from hermes_cli.gguf.kind import START_BYTES, other_format
from hermes_cli.models.download import web
from hermes_cli.models.download.hub import RemoteFile
from hermes_cli.models.download.part_file import PartFile, check_room, part_file
from hermes_cli.network.problem import NetworkProblem

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_AGAIN = "run the command again; if it fails again, the server or a proxy corrupts the file"
_NO_GGUF = "name another file; or open the address in a browser: this network may need a login"


def fetch(
    remote: RemoteFile,
    target: Path,
    credentials: web.Credentials | None,
    retries: web.Retries,
    progress: web.Progress,
    verify: Callable[[Path], None] = lambda path: None,
    before_naming: Callable[[str, int], None] = lambda sha256, size_bytes: None,
) -> str | None:
    """Download to `target` and return the SHA-256; None if another program did it meanwhile. Raises DownloadError.

    `verify` checks the whole file before it gets its name, and raises DownloadError if it is wrong; `before_naming`
    gets checksum and size of a right one. Raises Stale where the server may have another file now than `remote`.
    """

    def busy() -> None:
        progress.note(f"another program is downloading {target.name}; waiting for it")

    with part_file(target, busy) as part:
        if part is None:
            return None
        transfer = _Transfer(remote, part, credentials, retries, progress)
        resumed = transfer.resume()
        transfer.run()
        if remote.sha256 and part.sha256 != remote.sha256 and resumed:
            progress.note(f"the part of {target.name} that was here was damaged; starting again")
            transfer.restart()
            transfer.run()
        if remote.sha256 and part.sha256 != remote.sha256:
            found = part.sha256
            part.discard()
            raise web.Stale(
                f"{target.name} has the checksum {found[:12]}…, not {remote.sha256[:12]}…: it was deleted", _AGAIN
            )
        try:
            verify(target.with_name(f"{target.name}.part"))
        except DownloadError:
            part.discard()
            raise
        before_naming(part.sha256, part.size_bytes)
        part.finish()
        return part.sha256


class _Transfer:
    """The attempts to complete one part."""

    def __init__(
        self,
        remote: RemoteFile,
        part: PartFile,
        credentials: web.Credentials | None,
        retries: web.Retries,
        progress: web.Progress,
    ) -> None:
        self._remote, self._part, self._credentials, self._progress = remote, part, credentials, progress
        self._attempts = web.Attempts(retries, progress)
        self._farthest = 0
        self._size = remote.size_bytes
        self._etag: str | None = None
        self._version: str | None = None
        self._begun = False

    def resume(self) -> bool:
        """Resume from what an earlier download left, if it is of the same file."""
        known, found = self._part.identity(), self._part.found_bytes()
        etag = known.get("etag")
        if self._remote.sha256:
            same = known.get("sha256") == self._remote.sha256
        else:
            same = known.get("url") == self._remote.url and etag is not None and etag.isascii()
        if not found or not same or (self._size is not None and found > self._size):
            return False
        self._etag = self._version = etag
        self._begun = True
        self._part.resume(lambda done: self._progress.update(f"checking {self._part.target.name}", done, found))
        return True

    def restart(self) -> None:
        """Delete the bytes so far."""
        identity = {"url": self._remote.url, "sha256": self._remote.sha256, "etag": self._etag}
        self._part.restart(identity)
        self._begun = True

    def run(self) -> None:
        """Until the part has all its bytes. Raises DownloadError."""
        self._attempts.succeeded()
        self._farthest = self._part.size_bytes
        while not self._complete():
            try:
                self._attempt()
                return
            except web.Unreachable as problem:
                self._attempts.failed(problem)

    def _complete(self) -> bool:
        return self._begun and self._size is not None and self._part.size_bytes == self._size

    def _attempt(self) -> None:
        """Request the missing bytes and append them. Raises Unreachable, DownloadError."""
        headers = {}
        if self._part.size_bytes:
            headers["Range"] = f"bytes={self._part.size_bytes}-"
            if self._etag and not self._remote.sha256:
                headers["If-Range"] = self._etag
        try:
            with web.open_url(self._remote.url, headers, self._credentials, self._attempts.silence_s) as answer:
                self._accept(answer)
                self._receive(answer)
        except web.RangeRefused as problem:
            self.restart()
            raise web.Unreachable(f"{self._part.target.name} is now shorter on the server") from problem

    def _accept(self, answer: web.Answer) -> None:
        """Check that the bytes to come continue the part; empty it where they come from the start. Raises as above."""
        linked = answer.linked_etag
        if self._remote.sha256 and linked and re.fullmatch(r"[0-9a-f]{64}", linked) and linked != self._remote.sha256:
            raise web.Stale(f"{self._part.target.name} was changed on the server", "run the command again")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise web.Unreachable("the server compresses the file, which was not requested")
        total = answer.length
        if answer.status == 206:
            span = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            total = int(span[3]) if span and span[3] != "*" else None
            if not span or int(span[1]) != self._part.size_bytes:
                self.restart()
                raise web.Unreachable("the server sends another part than requested")
        if not self._remote.sha256:
            self._check_version(answer, total)
        if self._size is not None and total is not None and total != self._size:
            raise web.Unreachable(f"the server has {total:,} bytes of {self._part.target.name}, not {self._size:,}")
        if answer.status != 206 and (self._part.size_bytes or not self._begun):
            self._etag = answer.etag
            self.restart()
        if self._size is None:
            check_room(self._part.target, (total or 0) - self._part.size_bytes)
            self._size = total

    def _check_version(self, answer: web.Answer, total: int | None) -> None:
        """Begin again where the file was changed since the last attempt. Raises Unreachable to request the new one."""
        is_other = self._size is not None and total is not None and total != self._size
        before, self._version = self._version, answer.version
        if not is_other and before in (None, self._version):
            return
        name = self._part.target.name
        self._begun, self._size, self._farthest = False, None, 0
        self._etag = answer.etag
        self._part.restart({})
        if answer.status == 206:
            raise web.Unreachable(f"{name} was changed on the server; starting again with the new file")
        self._progress.note(f"{name} was changed on the server; starting again with the new file")

    def _receive(self, answer: web.Answer) -> None:
        """Append what arrives, up to the size of the file."""
        name = self._part.target.name
        try:
            for data in answer.blocks():
                if not self._part.size_bytes and data[:4] != b"GGUF"[: len(data)]:
                    raise DownloadError(f"{name} on the server is {other_format(data[:START_BYTES])}", _NO_GGUF)
                wanted = None if self._size is None else self._size - self._part.size_bytes
                self._part.append(memoryview(data)[:wanted])
                self._progress.update(name, self._part.size_bytes, self._size)
                if self._part.size_bytes > self._farthest:
                    self._farthest = self._part.size_bytes
                    self._attempts.succeeded()
                if self._size is not None and self._part.size_bytes >= self._size:
                    return
        except NetworkProblem as problem:
            if problem.kind != "lost" or self._size is None:
                raise
        if self._size is not None and self._part.size_bytes < self._size:
            raise web.Unreachable(f"the connection ended {self._size - self._part.size_bytes:,} bytes early")
