"""The built-in tool fetch_url: the text of a web page. It asks for consent, because a request reveals something.

Private addresses are refused, also behind a name or a redirect, except the hosts of `fetch_url:HOST,HOST`.
"""

import ipaddress
import os
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    import httpx2

_MOST_BYTES = 2_000_000
_STEP_S = 10.0
_WHOLE_S = 20.0
_TEXT = re.compile(r"text/|application/(json|xml|javascript|[\w.+-]+\+(json|xml))")
_ALLOWED = {host for host in os.environ.get("HERMES_CLI_TOOL_SETTING", "").lower().split(",") if host}
_KEPT = "%/:@!$&'()*+,;=~?-._"
_NO_TEXT = ("script", "style", "noscript", "template", "svg")
_IN_HEAD = ("title", "meta", "link", "base", "script", "style", "noscript", "template")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IN_USE = ipaddress.IPv6Network("2000::/3")  # the only IPv6 addresses that are assigned
_PRIVATE_DOMAINS = (
    "local",
    "localhost",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "private",
    "arpa",
)
_REDIRECTS = 5


def fetch_url(url: str) -> str:
    """Fetch a web page or text file and return its text.

    Args:
        url: The address; begins with https:// or http://.
    """
    from hermes_cli.network.client import get, open_client
    from hermes_cli.network.connection import Deadline
    from hermes_cli.network.problem import NetworkProblem

    _check(url)
    url = _ascii(url)
    headers = {"User-Agent": "hermes-cli fetch_url", "Accept-Encoding": "identity"}
    deadline = Deadline(_WHOLE_S)
    try:
        with open_client(read_s=_STEP_S, deadline=deadline, check_address=_check_address, headers=headers) as client:
            response, _ = get(client, url, {}, redirects=_REDIRECTS)
            try:
                return _text_of(response, url)
            finally:
                response.close()
    except NetworkProblem as problem:
        raise ValueError(f"{url} cannot be fetched: {problem}") from None


def _text_of(response: "httpx2.Response", url: str) -> str:
    """The text of a response. Raises ValueError for one without."""
    code = response.status_code
    if 300 <= code < 400:
        raise ValueError(f"{url} redirects to {response.headers.get('Location', 'nowhere')}, which is not allowed")
    if code >= 400:
        raise ValueError(f"{url} answers {code} {response.reason_phrase}")
    kind = response.headers.get("Content-Type", "text/plain").partition(";")[0].strip().lower()
    if not _TEXT.match(kind):
        raise ValueError(f"{url} is not text, but {kind}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ValueError(f"{url} answers in an encoding that was not requested")
    content = _read(response)
    if b"\0" in content:
        raise ValueError(f"{url} is not text")
    text = _decoded(content, response.charset_encoding or "utf-8")
    return _page_text(text) if kind == "text/html" else text


def _check(url: str) -> None:
    """Raise ValueError for what is not a plain web address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url} is not a web address; it must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("an address with a user name is not fetched")
    if any(ord(character) <= 0x20 for character in url):
        raise ValueError("the address holds spaces or control characters; write them as %20 and the like")


def _ascii(url: str) -> str:
    """The address in ASCII: the host in IDNA, the rest in percent-encoded UTF-8."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    host = (parts.hostname or "").encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    rest = {name: quote(getattr(parts, name), safe=_KEPT) for name in ("path", "query")}
    return parts._replace(netloc=host + port, fragment="", **rest).geturl()


def _read(response: "httpx2.Response") -> bytes:
    """The body. Raises ValueError where it is too long, NetworkProblem where it takes too long."""
    content = b""
    for part in response.iter_raw():
        content += part
        if len(content) > _MOST_BYTES:
            raise ValueError(f"the page has more than {_MOST_BYTES:,} bytes")
    return content


def _decoded(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset, "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def _check_address(host: str, address: str | None) -> None:
    """Raise NetworkProblem for a private address; for a name that only the proxy can look up, judge by the name."""
    from hermes_cli.network.problem import NetworkProblem

    if host.lower() in _ALLOWED:
        return
    if address is None and ("." not in host or host.lower().rpartition(".")[2] in _PRIVATE_DOMAINS):
        raise NetworkProblem("address", f"{host} is a private name; allow it with fetch_url:{host}")
    if address is not None and not _is_public(address):
        raise NetworkProblem("address", f"{host} has the private address {address}; allow it with fetch_url:{host}")


def _is_public(text: str) -> bool:
    """Whether an address is on the public internet; an IPv4 address inside an IPv6 one is checked too."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if (inner is not None and not _is_public(str(inner))) or not (address in _IN_USE or address in _NAT64):
            return False
    return address.is_global and not address.is_multicast


def _page_text(html: str) -> str:
    """The visible text of a page."""
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
