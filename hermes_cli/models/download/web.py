"""Bytes from a web server for a download: redirects, retries, and the token for the hub alone.

`open_url` raises Unreachable for what may pass (a lost connection, a busy server) and DownloadError for what will not.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urlsplit

from hermes_cli.errors import DownloadError
from hermes_cli.network.problem import NetworkProblem

if TYPE_CHECKING:
    import httpx2

Result = TypeVar("Result")
_REDIRECTS = 8
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524)

_REPOSITORY = re.compile(r"(https?://[^/]+/)(?:api/models/)?([^/]+/[^/?]+)")


class Progress(Protocol):
    """Shows how a download proceeds."""

    def update(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        """`done_bytes` of `what` are done; called often."""

    def note(self, text: str) -> None:
        """Something the user should know."""


@dataclass(frozen=True, slots=True)
class Retries:
    """Limits on attempts without progress between them: how many, how long each may be silent, how long in all.

    The pauses double from `first_wait_s`; a pause that the server asks for does not count, up to `longest_wait_s`.
    """

    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 120.0
    silence_s: float = 30.0
    limit_s: float = 50.0

    def run(self, act: Callable[[float], Result], progress: Progress) -> Result:
        """The result of `act(silence_s)`, repeated while it raises Unreachable. Raises DownloadError."""
        attempts = Attempts(self, progress)
        while True:
            try:
                return act(attempts.silence_s)
            except Unreachable as problem:
                attempts.failed(problem)


class Attempts:
    """The failed attempts since the last progress."""

    def __init__(self, limits: Retries, progress: Progress) -> None:
        self._limits, self._progress = limits, progress
        self.succeeded()

    def succeeded(self) -> None:
        """Count from the beginning: there was progress."""
        self._failures = 0
        self._started = time.monotonic()

    @property
    def silence_s(self) -> float:
        """How long the next attempt may wait for the server."""
        return max(min(self._limits.silence_s, self._limits.limit_s - self._spent_s()), 0.1)

    def failed(self, problem: "Unreachable") -> None:
        """Pause before the next attempt. Raises DownloadError if there should be none."""
        self._failures += 1
        spent_s, asked_s = self._spent_s(), problem.wait_s
        wait_s = self._limits.first_wait_s * 2 ** (self._failures - 1) if asked_s is None else asked_s
        if self._failures >= self._limits.tries or (asked_s is None and spent_s + wait_s >= self._limits.limit_s):
            hint = f"{problem.hint}, and run the command again; a download resumes where it stopped"
            count = "1 try" if self._failures == 1 else f"{self._failures} tries"
            raise DownloadError(f"{problem}, after {count} in {spent_s:.0f} s", hint)
        if wait_s > self._limits.longest_wait_s:
            raise DownloadError(f"{problem}, and asks to wait {wait_s:,.0f} s", "run the command again after that time")
        self._progress.note(f"{problem}; trying again in {wait_s:.0f} s")
        time.sleep(wait_s)
        if asked_s is not None:
            self._started += wait_s

    def _spent_s(self) -> float:
        return time.monotonic() - self._started


class Unreachable(Exception):
    """A temporary failure of a transfer; `wait_s` is how long the server asks to wait."""

    def __init__(self, message: str, wait_s: float | None = None, hint: str = "check the network") -> None:
        super().__init__(message)
        self.wait_s, self.hint = wait_s, hint


class Stale(DownloadError):
    """A failure that is explained if the server has another file now than when it was asked what it has."""


class RangeRefused(Exception):
    """The server has no bytes from that position on (416)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token, and the server it may be sent to, as `scheme://host:port`."""

    origin: str
    token: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose body is still to be read, and what the redirects on the way said."""

    response: "httpx2.Response"
    linked_etag: str | None

    @property
    def status(self) -> int:
        """The HTTP status, 200 or 206."""
        return self.response.status_code

    @property
    def headers(self) -> "httpx2.Headers":
        """Its headers."""
        return self.response.headers

    @property
    def length(self) -> int | None:
        """How many bytes the server says will come."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    @property
    def etag(self) -> str | None:
        """The strong ETag, which names exactly these bytes, if there is one."""
        etag = self.headers.get("ETag", "")
        return etag if etag.startswith('"') else None

    @property
    def version(self) -> str | None:
        """What differs when the file was changed, as far as the server says it."""
        return self.headers.get("ETag") or self.headers.get("Last-Modified")

    def blocks(self) -> Iterator[bytes]:
        """The body as it arrives. Raises NetworkProblem."""
        return self.response.iter_raw()


@contextmanager
def open_url(
    url: str, headers: Mapping[str, str], credentials: Credentials | None, silence_s: float, limit_body: bool = False
) -> Iterator[Answer]:
    """Request `url`. Raises Unreachable, RangeRefused, DownloadError; the same for NetworkProblem in the block.

    The headers must have arrived after `silence_s`, with `limit_body` also the body, which else may pause that long.
    """
    from hermes_cli.network.client import get, open_client
    from hermes_cli.network.connection import Deadline

    sent = {"Accept-Encoding": "identity", **headers}
    if credentials and origin(url) == credentials.origin:
        sent["Authorization"] = f"Bearer {credentials.token}"
    deadline = Deadline(silence_s)
    try:
        with open_client(connect_s=min(10.0, silence_s), read_s=silence_s, deadline=deadline) as client:
            response, hops = get(client, url, sent, redirects=_REDIRECTS)
            if not limit_body:
                deadline.lift()
            try:
                if response.status_code not in (200, 206):
                    raise _refused(url, response)
                linked = (_plain(hop.headers.get("X-Linked-Etag")) for hop in (*hops, response))
                yield Answer(response, next(filter(None, linked), None))
            finally:
                response.close()
    except NetworkProblem as problem:
        raise failure(problem) from problem


def is_web_address(url: str) -> bool:
    """Whether this is an http or https URL with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def origin(url: str) -> str:
    """`scheme://host:port` of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def failure(problem: NetworkProblem) -> Unreachable | DownloadError:
    """The download error for a network problem."""
    if problem.is_temporary:
        return Unreachable(str(problem), hint=problem.hint)
    return DownloadError(str(problem), problem.hint)


def retry_after(text: str | None) -> float | None:
    """The seconds in a Retry-After header; None for a date."""
    return float(text) if text and re.fullmatch(r"\d{1,6}", text.strip()) else None


def _refused(url: str, response: "httpx2.Response") -> Exception:
    """The error for a response that is not a file."""
    code, host = response.status_code, _host(url)
    if code == 416:
        return RangeRefused()
    if code in _TEMPORARY:
        busy = f"{host} is busy" if code in (429, 503) else f"{host} reports a server error"
        return Unreachable(f"{busy} ({code})", retry_after(response.headers.get("Retry-After")))
    on_hub = _refused_by_hub(url, response)
    if on_hub:
        return on_hub
    if code in (401, 403):
        return _access_refused(url, code)
    if code in (404, 410):
        return Stale(f"there is nothing at {url}", "check the address")
    if 300 <= code < 400:
        return DownloadError(f"{host} redirects to an address that is not safe to follow", "check the address")
    return DownloadError(f"{host} refuses the request ({code} {response.reason_phrase})", "check the address")


def _refused_by_hub(url: str, response: "httpx2.Response") -> DownloadError | None:
    """The error that the hub names in a header; a 401 about a repository means that it is not there or private."""
    reason, repository = response.headers.get("X-Error-Code"), _REPOSITORY.match(url)
    if not repository:
        return None
    if reason == "GatedRepo":
        page = f"{repository[1]}{repository[2]}"
        hint = f"accept its licence at {page} and set HF_TOKEN to your token (Settings, Access Tokens)"
        return DownloadError(f"{page} is gated", hint)
    if reason == "RevisionNotFound":
        return DownloadError(f"{repository[2]} has no such revision", "check the address, or name the repository alone")
    about_token = response.headers.get("X-Error-Message") == "Invalid credentials in Authorization header"
    if reason == "RepoNotFound" or (response.status_code == 401 and "/api/models/" in url and not about_token):
        hint = "check the name; for a private or gated one set HF_TOKEN to a token that may read it"
        return DownloadError(f"there is no repository {repository[2]} on the hub", hint)
    return None


def _access_refused(url: str, code: int) -> DownloadError:
    """The error for 401 and 403, with the way to get access."""
    repository = _REPOSITORY.match(url)
    page = f"{repository[1]}{repository[2]}" if repository else url
    hint = "set HF_TOKEN to a token that may read it, or accept its licence on its page"
    return DownloadError(f"{_host(url)} refuses access to {page} ({code})", hint)


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _plain(etag: str | None) -> str | None:
    return etag.removeprefix("W/").strip('"') if etag else None
