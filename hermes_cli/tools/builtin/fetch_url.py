"""The built-in tool fetch_url: the text of a web page. Asks for consent: what it fetches tells the server something.

Private addresses are refused, also behind a name or a redirect, except the hosts of `fetch_url:HOST,HOST`.
"""

import http.client
import ipaddress
import os
import re
import socket
import time
import urllib.request
from html.parser import HTMLParser
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

_MOST_BYTES = 2_000_000
_STEP_S = 10.0
_WHOLE_S = 20.0
_TEXT = re.compile(r"text/|application/(json|xml|javascript|[\w.+-]+\+(json|xml))")
_ALLOWED = {host for host in os.environ.get("HERMES_CLI_TOOL_SETTING", "").lower().split(",") if host}
_KEPT = "%/:@!$&'()*+,;=~?-._"
_AGENT = "hermes-cli fetch_url"
_NO_TEXT = ("script", "style", "noscript", "template", "svg")
_IN_HEAD = ("title", "meta", "link", "base", "script", "style", "noscript", "template")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IN_USE = ipaddress.IPv6Network("2000::/3")  # of all IPv6 addresses only these are given out


def fetch_url(url: str) -> str:
    """Fetch a web page or text file and return its text.

    Args:
        url: The address; begins with https:// or http://.
    """
    end = time.monotonic() + _WHOLE_S
    _check(url)
    url = _ascii(url)
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"})
    try:
        with _opener().open(request, timeout=_STEP_S) as answer:
            kind = answer.headers.get_content_type()
            if not _TEXT.match(kind):
                raise ValueError(f"{url} is no text, but {kind}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise ValueError(f"{url} answers in a form that was not asked for")
            content = _read(answer, end)
    except HTTPError as error:
        raise ValueError(f"{url} answers {error.code} {error.reason}") from None
    except URLError as error:
        raise ValueError(f"{url} cannot be fetched: {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(f"{url} cannot be fetched: {error or type(error).__name__}") from None
    if b"\0" in content:
        raise ValueError(f"{url} is no text")
    text = _decoded(content, answer.headers.get_content_charset("utf-8"))
    return _page_text(text) if kind == "text/html" else text


def _check(url: str) -> None:
    """Raise ValueError for what is not a plain web address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url} is no web address; it must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("an address with a user name is not fetched")
    if any(ord(character) <= 0x20 for character in url):
        raise ValueError("the address holds spaces or control characters; write them as %20 and the like")


def _ascii(url: str) -> str:
    """The address as it is sent: foreign letters of the host as IDNA, of the rest as UTF-8 in percent signs."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    host = (parts.hostname or "").encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    rest = {name: quote(getattr(parts, name), safe=_KEPT) for name in ("path", "query")}
    return parts._replace(netloc=host + port, fragment="", **rest).geturl()


def _read(answer: Any, end: float) -> bytes:
    """The body, at most as much as is allowed. Raises ValueError where it is too long or too slow."""
    content = b""
    while part := answer.read1(1 << 16):
        content += part
        if len(content) > _MOST_BYTES:
            raise ValueError(f"the page has more than {_MOST_BYTES:,} bytes")
        if time.monotonic() > end:
            raise ValueError(f"the page takes longer than {_WHOLE_S:g} s")
    return content


def _decoded(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset, "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def _connected(host: str, port: int, timeout_s: float) -> socket.socket:
    """A connection to the address that was checked: the name is not looked up a second time."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = host.lower() in _ALLOWED
    for *_, address in addresses:
        if not allowed and not _is_public(str(address[0])):
            raise OSError(f"{host} has the private address {address[0]}; allow it with fetch_url:{host}")
    problem: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout_s)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem


def _is_public(text: str) -> bool:
    """Whether an address is one of the open internet; an IPv4 address inside an IPv6 one counts."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if (inner is not None and not _is_public(str(inner))) or not (address in _IN_USE or address in _NAT64):
            return False
    return address.is_global and not address.is_multicast


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = _connected(self.host, self.port, _STEP_S)


class _Secure(http.client.HTTPSConnection):
    def connect(self) -> None:
        plain = _connected(self.host, self.port, _STEP_S)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]


class _PlainHandler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Plain, request)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Secure, request)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows at most five redirects, to web addresses only; each connection checks its own host."""

    max_redirections = 5

    def redirect_request(
        self, request: Any, file: Any, code: int, message: str, headers: http.client.HTTPMessage, url: str
    ) -> urllib.request.Request | None:
        _check(url)
        file.close()  # or all of it would be read, and it may never end
        return super().redirect_request(request, file, code, message, headers, url)


def _opener() -> urllib.request.OpenerDirector:
    """Web addresses only: no files, no FTP, no proxy."""
    opener = urllib.request.OpenerDirector()
    for handler in (_PlainHandler(), _SecureHandler(), _Redirects(), urllib.request.HTTPErrorProcessor()):
        opener.add_handler(handler)
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    return opener


def _page_text(html: str) -> str:
    """What a reader sees of a page, without its form."""
    reader = _PageReader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0
        self._in_head = self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _NO_TEXT
        # The tag that ends the head may be left out: then whatever cannot stand in it does, also text.
        self._in_head = tag == "head" or (self._in_head and tag in _IN_HEAD)
        self._in_title = tag == "title"
        if tag in ("p", "br", "div", "li", "tr", "table", "pre", "section", "h1", "h2", "h3", "h4", "h5", "h6"):
            self.pieces.append("\n")
        elif tag in ("td", "th"):
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _NO_TEXT and self._hidden > 0
        self._in_head = self._in_head and tag != "head"
        self._in_title = False
        if tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol"):
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self._in_head = self._in_head and (self._in_title or not data.strip())
        if not self._in_head:
            self.pieces.append(data)
