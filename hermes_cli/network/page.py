"""A document on the web: fetched within limits, and the text of a page without its markup."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from hermes_cli.network.exchange import joined_blocks

if TYPE_CHECKING:
    import httpx2

    from hermes_cli.network.connection import AddressCheck

_STEP_S = 10.0
_WHOLE_S = 20.0
_REDIRECTS = 5
_TEXT = re.compile(r"text/|application/(json|xml|javascript|[\w.+-]+\+(json|xml))")
_NEVER_TEXT = re.compile(r"(image|audio|video|font)/(?!svg)")
_PAGES = ("text/html", "application/xhtml+xml")
_KEPT = "%/:@!$&'()*+,;=~?-._"
_NO_TEXT = ("script", "style", "noscript", "template", "svg")
_IN_HEAD = ("title", "meta", "link", "base", "script", "style", "noscript", "template")
_LINE_BEFORE = ("p", "br", "div", "li", "tr", "table", "pre", "section", "h1", "h2", "h3", "h4", "h5", "h6")
_LINE_AFTER = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol")


@dataclass(frozen=True, slots=True)
class Document:
    """The body of a response. `kind` is its media type in lower case, without parameters."""

    url: str
    kind: str
    content: bytes
    charset: str

    @property
    def is_text(self) -> bool:
        """Whether its media type is one of text."""
        return _TEXT.match(self.kind) is not None

    @property
    def text(self) -> str:
        """Its text, of a web page only what is visible. Raises ValueError if it is not text."""
        if not self.is_text:
            raise ValueError(f"{self.url} is not text, but {self.kind}")
        if b"\0" in self.content:
            raise ValueError(f"{self.url} is not text")
        text = _decoded(self.content, self.charset)
        return page_text(text) if self.kind in _PAGES else text


def fetch(
    url: str,
    *,
    most_bytes: int,
    check_address: "AddressCheck | None" = None,
    headers: Mapping[str, str] | None = None,
) -> Document:
    """Request `url` and read its body, within 20 s. Raises ValueError, whose message names the URL and the reason."""
    from hermes_cli.network.client import get, open_client
    from hermes_cli.network.connection import Deadline
    from hermes_cli.network.problem import NetworkProblem

    _check(url)
    url = _ascii(url)
    named = {"Accept-Encoding": "identity", **(headers or {})}
    try:
        with open_client(
            read_s=_STEP_S, deadline=Deadline(_WHOLE_S), check_address=check_address, headers=named
        ) as client:
            response, _ = get(client, url, {}, redirects=_REDIRECTS)
            try:
                return _document(response, url, most_bytes)
            finally:
                response.close()
    except NetworkProblem as problem:
        raise ValueError(f"{url} cannot be fetched: {problem}") from None


def page_text(html: str) -> str:
    """The visible text of a web page."""
    reader = _PageReader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _document(response: "httpx2.Response", url: str, most_bytes: int) -> Document:
    code = response.status_code
    if 300 <= code < 400:
        raise ValueError(f"{url} redirects to {response.headers.get('Location', 'nowhere')}, which is not allowed")
    if code >= 400:
        raise ValueError(f"{url} answers {code} {response.reason_phrase}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ValueError(f"{url} answers in an encoding that was not requested")
    kind = response.headers.get("Content-Type", "text/plain").partition(";")[0].strip().lower()
    if _NEVER_TEXT.match(kind):
        raise ValueError(f"{url} is not text, but {kind}")
    content = joined_blocks(response.iter_raw(), most_bytes)
    if len(content) > most_bytes:
        raise ValueError(f"{url} has more than {most_bytes:,} bytes")
    return Document(url, kind, content, response.charset_encoding or "utf-8")


def _check(url: str) -> None:
    """Raise ValueError if `url` is not a plain web address."""
    try:
        parts = urlsplit(url)
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise ValueError(f"{url} is not a web address: {error}") from error
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


def _decoded(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset, "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


class _PageReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0
        self._in_head = self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _NO_TEXT
        # The end tag of the head is optional: whatever cannot be in it ends it, also text.
        self._in_head = tag == "head" or (self._in_head and tag in _IN_HEAD)
        self._in_title = tag == "title"
        if tag in _LINE_BEFORE:
            self.pieces.append("\n")
        elif tag in ("td", "th"):
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _NO_TEXT and self._hidden > 0
        self._in_head = self._in_head and tag != "head"
        self._in_title = False
        if tag in _LINE_AFTER:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self._in_head = self._in_head and (self._in_title or not data.strip())
        if not self._in_head:
            self.pieces.append(data)
