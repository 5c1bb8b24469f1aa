"""The built-in tool fetch_url, with a web server of its own: what it reads, and what it leaves alone."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from hermes_cli.tools.toolbox import Toolbox, load_toolbox
from tests.proxy_server import Proxy, running_proxy
from tests.tools.conftest import call


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, http.server.HTTPServer)
        port = self.server.server_port
        match self.path:
            case "/page":
                html = "<title>t</title><h1>A &amp; B</h1><script>evil()</script><p>one  two<br>three"
                self._answer(html.encode(), "text/html; charset=utf-8")
            case "/short":
                html = "<!DOCTYPE html><head><title>t</title><table><tr><th>A<th>B<tr><td>1<td>2</table>"
                self._answer(html.encode(), "text/html")
            case "/bare":
                self._answer(b"<head><title>t</title>\n<script>evil()</script> One <b>two</b>", "text/html")
            case "/plain":
                self._answer("caf\xe9".encode("latin-1"), "text/plain; charset=latin-1")
            case "/image":
                self._answer(b"\x89PNG", "image/png")
            case "/lie":
                self._answer(b"\0\1\2", "text/plain")
            case "/big":
                self._answer(b"x" * 3_000_000, "text/plain")
            case "/to-page":
                self._redirect("/page")
            case "/to-private":
                self._redirect(f"http://127.0.0.1:{port}/plain")
            case "/to-file":
                self._redirect("file:///etc/passwd")
            case "/talk":
                self._redirect("/plain")
                with suppress(OSError):
                    while True:
                        self.wfile.write(b"x" * 65536)
            case "/loop":
                self._redirect("/loop")
            case "/slow":
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                time.sleep(20)
            case _:
                self.send_error(404)

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # a reader that has enough goes away
            self.wfile.write(body)

    def _redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A web server that is allowed to be fetched from as `localhost`, not as 127.0.0.1."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as pages:
        pages.daemon_threads = True
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield f"http://localhost:{pages.server_port}"
        pages.shutdown()


@pytest.fixture(scope="module")
def fetcher() -> Iterator[Toolbox]:
    with load_toolbox(["fetch_url:localhost"]) as opened:
        yield opened


def test_fetch_url(fetcher: Toolbox, server: str) -> None:
    assert call(fetcher, "fetch_url", url=f"{server}/page").value == "t\nA & B\n\none two\nthree"
    # Tags may be left out, as the one that ends the head.
    assert call(fetcher, "fetch_url", url=f"{server}/short").value == "A B\n1 2"
    assert call(fetcher, "fetch_url", url=f"{server}/bare").value == "One two"
    assert call(fetcher, "fetch_url", url=f"{server}/to-page#part").value.startswith("t\nA & B")
    assert call(fetcher, "fetch_url", url=f"{server}/plain").value == "caf\xe9"


def test_fetch_url_does_not_read_the_body_of_a_redirect(fetcher: Toolbox, server: str) -> None:
    assert call(fetcher, "fetch_url", url=f"{server}/talk", timeout_s=10).value == "caf\xe9"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/image", "is not text, but image/png"),
        ("/lie", "is not text"),
        ("/big", "has more than 2,000,000 bytes"),
        ("/none", "answers 404"),
        ("/\u00e9 ", "the address holds spaces"),
        ("/\u00e9", "answers 404"),
        ("/to-private", "127.0.0.1 has the private address 127.0.0.1"),
        ("/to-file", "redirects to file:///etc/passwd, which is not allowed"),
        ("/loop", "redirects too often"),
    ],
)
def test_fetch_url_refuses(fetcher: Toolbox, server: str, path: str, error: str) -> None:
    assert error in str(call(fetcher, "fetch_url", url=server + path).error)


def test_fetch_url_ends_with_its_time(fetcher: Toolbox, server: str) -> None:
    assert "took longer than 1 s" in str(call(fetcher, "fetch_url", url=f"{server}/slow", timeout_s=1).error)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("file:///etc/passwd", "is not a web address"),
        ("ftp://a.example/", "is not a web address"),
        ("a.example", "is not a web address"),
        ("http://", "is not a web address"),
        ("http://user:word@a.example/", "a user name is not fetched"),
        ("http://127.0.0.1/", "private address 127.0.0.1"),
        ("http://2130706433/", "private address 127.0.0.1"),
        ("http://0/", "private address 0.0.0.0"),
        ("http://10.1.2.3/", "private address"),
        ("http://169.254.169.254/latest/meta-data", "private address"),
        ("http://[::1]/", "private address ::1"),
        ("http://[::ffff:127.0.0.1]/", "private address"),
        ("http://[64:ff9b::7f00:1]/", "private address"),
        ("http://[64:ff9b:1::7f00:1]/", "private address"),
        ("http://[fec0::2]/", "private address"),
        ("http://[::127.0.0.1]/", "private address"),
        ("http://224.0.0.1/", "private address"),
        ("http://localhost:99999/", "ort out of range"),
    ],
)
def test_fetch_url_leaves_private_places_alone(fetcher: Toolbox, url: str, error: str) -> None:
    assert error in str(call(fetcher, "fetch_url", url=url).error)


def test_fetch_url_uses_the_proxy_but_not_for_private_places(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_proxy(Proxy(server)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{proxy.address}")
        with load_toolbox(["fetch_url"]) as fetcher:
            assert call(fetcher, "fetch_url", url="http://pages.invalid/plain").value == "caf\xe9"
            for url in ("http://10.1.2.3/", "http://[fc00::1]/", "http://printer/", "http://a.internal/"):
                assert "allow it with fetch_url:" in str(call(fetcher, "fetch_url", url=url).error)
    assert proxy.seen == ["pages.invalid:80"]


def test_fetch_url_reports_that_no_one_answers(fetcher: Toolbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = call(fetcher, "fetch_url", url=f"http://localhost:{taken.getsockname()[1]}/").error
    assert "cannot be fetched: " in str(error) and "refused" in str(error)
