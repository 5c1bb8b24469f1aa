"""Bytes from a web server: redirects, proxies, TLS, and the token for nobody but the hub.

`open_url` raises Unreachable for what may pass (a lost connection, a busy server) and DownloadError for what will not.
"""

import email.message
import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote, urljoin, urlsplit

from hermes_cli import __version__
from hermes_cli.errors import DownloadError

TIMEOUT_S = 30.0
_REDIRECTS = 8
_AS_IT_IS = "%/:?#[]@!$&'()*+,;=~|"
_PASSING = (408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524)
TLS_HINT = "check the clock and the proxy; SSL_CERT_FILE=FILE names other certificates to trust"


class Unreachable(Exception):
    """What stopped a transfer may pass; `wait_s` is how long the server asks to wait."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class RangeRefused(Exception):
    """The server has nothing from that byte on (416)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token, and the server it may be shown to, as `scheme://host:port`."""

    origin: str
    token: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A body to be read, and what came with it and with the redirects on the way."""

    body: http.client.HTTPResponse
    status: int
    headers: email.message.Message
    linked_etag: str | None

    @property
    def length(self) -> int | None:
        """How many bytes the server says will come."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    @property
    def etag(self) -> str | None:
        """What names this version of the file for sure, or nothing."""
        etag = self.headers.get("ETag", "")
        return etag if etag.startswith('"') else None


def open_url(url: str, headers: Mapping[str, str], credentials: Credentials | None = None) -> Answer:
    """Ask for `url`; closing the body is the caller's. Raises Unreachable, RangeRefused, DownloadError."""
    linked_etag = None
    place = url
    for _ in range(_REDIRECTS):
        request = urllib.request.Request(
            _in_ascii(place), headers={"User-Agent": f"hermes-cli/{__version__}", **headers}
        )
        request.add_header("Accept-Encoding", "identity")
        if credentials and origin(place) == credentials.origin:
            request.add_unredirected_header("Authorization", f"Bearer {credentials.token}")
        try:
            body = _opener().open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as refusal:
            with refusal:
                linked_etag = linked_etag or _plain(refusal.headers.get("X-Linked-Etag"))
                place = _redirected(place, refusal) if refusal.code in (301, 302, 303, 307, 308) else ""
                if not place:
                    raise _refused(url, refusal) from refusal
            continue
        except (UnicodeError, http.client.InvalidURL) as problem:
            # A host or a port that cannot be, perhaps of a proxy.
            what = f"{_host(place)} cannot be asked: {problem}"
            raise DownloadError(what, "check the address and the proxy") from problem
        except (OSError, http.client.HTTPException) as problem:
            raise failure(problem, place) from problem
        linked_etag = linked_etag or _plain(body.headers.get("X-Linked-Etag"))
        return Answer(body, body.status, body.headers, linked_etag)
    raise DownloadError(f"{_host(url)} sends from one address to the next without end", "try again later")


def is_web_address(url: str) -> bool:
    """Whether this is a URL of the web, with a server and perhaps a port."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def origin(url: str) -> str:
    """`scheme://host:port` of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def failure(problem: Exception, url: str) -> Unreachable | DownloadError:
    """What an error of the network means: something that may pass, or a certificate nobody should look over."""
    reason = getattr(problem, "reason", problem)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError(f"{_host(url)} cannot prove who it is: {reason.verify_message}", TLS_HINT)
    if isinstance(reason, TimeoutError):
        return Unreachable(f"{_host(url)} does not answer")
    if isinstance(reason, ssl.SSLError):
        return Unreachable(f"no secure connection to {_host(url)}: {reason.reason or reason}")
    if isinstance(reason, http.client.HTTPException):
        return Unreachable(f"the connection to {_host(url)} was lost")
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return Unreachable(f"cannot reach {_host(url)}: {text}")


def retry_after(text: str | None) -> float | None:
    """The seconds in a Retry-After header; a date is not heeded."""
    return float(text) if text and re.fullmatch(r"\d{1,6}", text.strip()) else None


def _redirected(place: str, refusal: urllib.error.HTTPError) -> str:
    """Where a redirect leads; nothing that is not the web, and nothing less private than before."""
    try:
        # Header bytes that are not ASCII come as Latin-1.
        target = urljoin(
            place, refusal.headers.get("Location", "").encode("latin-1", "replace").decode("utf-8", "replace")
        )
    except ValueError:
        return ""
    is_less_private = place.startswith("https:") and not target.startswith("https:")
    return target if is_web_address(target) and not is_less_private else ""


def _refused(url: str, refusal: urllib.error.HTTPError) -> Exception:
    """The error for an answer that is no file."""
    code, host = refusal.code, _host(url)
    if code == 416:
        return RangeRefused()
    if code in _PASSING:
        busy = f"{host} is busy" if code in (429, 503) else f"{host} has trouble"
        return Unreachable(f"{busy} ({code})", retry_after(refusal.headers.get("Retry-After")))
    if code in (401, 403):
        return access_refused(url, code, refusal.headers.get("X-Error-Code") == "GatedRepo")
    if code in (404, 410):
        return DownloadError(f"there is nothing at {url}", "check the address")
    if 300 <= code < 400:
        return DownloadError(f"{host} sends on to an address that is not safe to follow", "check the address")
    return DownloadError(f"{host} refuses ({code} {refusal.reason})", "check the address")


def access_refused(url: str, code: int, gated: bool) -> DownloadError:
    """401 or 403, with what opens the door."""
    repository = re.match(r"(https?://[^/]+/)(?:api/models/)?([^/]+/[^/?]+)", url)
    page = "".join(repository.groups()) if repository else url
    if gated:
        hint = f"accept its licence at {page} and set HF_TOKEN to a token of yours (Settings, Access Tokens)"
        return DownloadError(f"{page} is gated", hint)
    hint = "set HF_TOKEN to a token that may read it, or accept its licence on its page"
    return DownloadError(f"{_host(url)} refuses access to {page} ({code})", hint)


def _in_ascii(url: str) -> str:
    """The URL with what no request line may hold written as %XX."""
    parts = urlsplit(url)
    path, query = quote(parts.path, safe=_AS_IT_IS), quote(parts.query, safe=_AS_IT_IS)
    return parts._replace(path=path, query=query).geturl()


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _plain(etag: str | None) -> str | None:
    return etag.removeprefix("W/").strip('"') if etag else None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, *_: object) -> None:
        """Redirects are followed in `open_url`, which sees their headers and keeps the token back."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302  # type: ignore[assignment]


@cache
def _opener() -> urllib.request.OpenerDirector:
    places = ssl.get_default_verify_paths()
    if places.cafile or places.capath:
        context = ssl.create_default_context()
    else:
        import certifi  # some Pythons on macOS come without certificates; huggingface_hub brings these

        context = ssl.create_default_context(cafile=certifi.where())
    return urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
