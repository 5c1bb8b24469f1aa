"""One file from the web: resumed, retried, hashed while it arrives, and given its name only when it is complete."""

import re
from collections.abc import Callable
from pathlib import Path

from hermes_cli.errors import DownloadError
from hermes_cli.models.download import web
from hermes_cli.models.download.hub import RemoteFile
from hermes_cli.models.download.part_file import PartFile, check_room, part_file
from hermes_cli.network.problem import NetworkProblem

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_AGAIN = "run the command again; if it fails again, the server or a proxy sends the file wrong"
_NO_GGUF = "name another file; or open the address in a browser: this network may want a login"


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

    `verify` looks at the whole file before it gets its name, and raises DownloadError if it is not what it should be;
    `before_naming` gets checksum and size of one that is.
    """

    def busy() -> None:
        progress.note(f"another program is downloading {target.name}; waiting for it")

    with part_file(target, busy) as part:
        if part is None:
            return None
        transfer = _Transfer(remote, part, credentials, retries, progress)
        resumed = transfer.take_up()
        transfer.run()
        if remote.sha256 and part.sha256 != remote.sha256 and resumed:
            progress.note(f"the part of {target.name} that was here was damaged; starting over")
            transfer.restart()
            transfer.run()
        if remote.sha256 and part.sha256 != remote.sha256:
            found = part.sha256
            part.discard()
            raise DownloadError(
                f"{target.name} has the checksum {found[:12]}…, not {remote.sha256[:12]}…: it was thrown away", _AGAIN
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
        self._begun = False

    def take_up(self) -> bool:
        """Use what an earlier download left, if it is of the same file."""
        known, found = self._part.identity(), self._part.found_bytes()
        etag = known.get("etag")
        if self._remote.sha256:
            same = known.get("sha256") == self._remote.sha256
        else:
            same = known.get("url") == self._remote.url and etag is not None and etag.isascii()
        if not found or not same or (self._size is not None and found > self._size):
            return False
        self._etag = etag
        self._begun = True
        self._part.take_up(lambda done: self._progress.update(f"checking {self._part.target.name}", done, found))
        return True

    def restart(self) -> None:
        """Forget what is there."""
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
        """Ask for what is missing and append it. Raises Unreachable, DownloadError."""
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
        """Make sure that the bytes to come follow those here; the part is emptied where they are from the start."""
        linked = answer.linked_etag
        if self._remote.sha256 and linked and re.fullmatch(r"[0-9a-f]{64}", linked) and linked != self._remote.sha256:
            name = self._part.target.name
            raise DownloadError(f"{name} was changed on the server meanwhile", "run the command again")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise web.Unreachable("the server packs the file, against what was asked")
        total = answer.length
        if answer.status == 206:
            span = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            total = int(span[3]) if span and span[3] != "*" else None
            if not span or int(span[1]) != self._part.size_bytes:
                self.restart()
                raise web.Unreachable("the server sends another part than was asked for")
        if self._size is not None and total is not None and total != self._size:
            raise web.Unreachable(f"the server has {total:,} bytes of {self._part.target.name}, not {self._size:,}")
        if answer.status != 206 and (self._part.size_bytes or not self._begun):
            self._etag = answer.etag
            self.restart()
        if self._size is None:
            check_room(self._part.target, (total or 0) - self._part.size_bytes)
            self._size = total

    def _receive(self, answer: web.Answer) -> None:
        """Append what arrives, up to the size of the file."""
        name = self._part.target.name
        try:
            for data in answer.blocks():
                if not self._part.size_bytes and data[:4] != b"GGUF"[: len(data)]:
                    raise DownloadError(f"{name} on the server is not a GGUF file", _NO_GGUF)
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
