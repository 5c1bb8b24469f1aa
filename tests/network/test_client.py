"""The HTTP client with real servers: proxies, certificates, time limits, Unix sockets, and the words of its errors."""

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hermes_cli.network.client import get, open_client
from hermes_cli.network.connection import Deadline
from hermes_cli.network.problem import NetworkProblem
from hermes_cli.network.proxies import NETWORK_VARIABLES
from tests.certificate import server_certificate
from tests.proxy_server import Proxy, running_proxy

_NO_PASSWORD = "407 Proxy Authentication Required"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NETWORK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def page() -> Iterator[str]:
    """The URL of a server that says hello."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fetched(url: str, **options: object) -> bytes:
    with open_client(**options) as client:  # type: ignore[arg-type]
        response, _ = get(client, url, {}, redirects=2)
        return response.read()


def problem(url: str, **options: object) -> NetworkProblem:
    with pytest.raises(NetworkProblem) as caught:
        fetched(url, **options)
    return caught.value


@contextmanager
def answering(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that does `serve` with each connection."""

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=quietly, args=(client,), daemon=True).start()

    def quietly(client: socket.socket) -> None:
        with client, suppress(OSError):
            serve(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h", "socks"])
def test_a_proxy_of_every_kind(page: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_proxy(Proxy(page)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{proxy.address}")
        assert fetched("http://hub.invalid/x") == b"hello"
    assert proxy.seen == ["http://hub.invalid/x" if scheme == "http" else "hub.invalid:80"]


def test_a_user_name_and_password_for_a_proxy(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_proxy(Proxy(page, password="me:secret")) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://me:secret@{proxy.address}")
        assert fetched("http://hub.invalid/x") == b"hello"
        monkeypatch.setenv("ALL_PROXY", f"socks5h://me:wrong@{proxy.address}")
        error = problem("http://hub.invalid/x")
    assert "refuses to connect to hub.invalid: Invalid username/password" in str(error)
    assert "USER:PASSWORD" in error.hint
    assert "wrong" not in str(error) + error.hint and not error.is_temporary


@pytest.mark.parametrize(
    ("scheme", "refusal", "url", "words", "is_temporary"),
    [
        (
            "http",
            _NO_PASSWORD,
            "https://hub.invalid",
            _NO_PASSWORD,
            False,
        ),
        ("http", _NO_PASSWORD, "http://hub.invalid", _NO_PASSWORD, False),
        ("http", "403 Forbidden", "https://hub.invalid", "403 Forbidden", False),
        ("http", "502 Bad Gateway", "https://hub.invalid", "502 Bad Gateway", True),
        ("socks5h", 2, "https://hub.invalid", "Connection not allowed by ruleset", False),
        ("socks5h", 4, "https://hub.invalid", "Host unreachable", True),
    ],
)
def test_refusal_by_a_proxy_is_reported_as_such(
    page: str,
    scheme: str,
    refusal: str | int,
    url: str,
    words: str,
    is_temporary: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running_proxy(Proxy(page, refusal)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{proxy.address}")
        monkeypatch.setenv("HTTP_PROXY", f"{scheme}://{proxy.address}")
        error = problem(url)
    variable = "HTTPS_PROXY" if url.startswith("https") else "HTTP_PROXY"
    expected = f"the proxy {scheme}://{proxy.address} ({variable}) refuses to connect to hub.invalid: {words}"
    assert (str(error), error.kind, error.is_temporary) == (expected, "proxy", is_temporary)


def test_a_proxy_that_is_not_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://127.0.0.1:1")
    error = problem("https://hub.invalid")
    assert str(error) == "cannot reach the proxy socks5h://127.0.0.1:1 (HTTPS_PROXY): Connection refused"


@pytest.mark.parametrize("value", ["socks4://127.0.0.1:1", "http://127.0.0.1:abc", "ftp://127.0.0.1", "http://"])
def test_a_proxy_that_cannot_be_used(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    error = problem("https://hub.invalid")
    assert str(error).startswith(f"the proxy {value} (ALL_PROXY) is ") and error.hint.startswith("set ALL_PROXY like")


def test_a_socks_address_where_an_http_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        monkeypatch.setenv("ALL_PROXY", server.replace("http://", "socks5h://"))
        assert "does not speak SOCKS5" in str(problem("https://hub.invalid"))


def test_a_name_that_does_not_exist() -> None:
    error = problem("http://hub.invalid/x")
    assert str(error).startswith("cannot reach hub.invalid: ") and error.is_temporary


def test_silent_server_times_out_and_the_error_has_the_time() -> None:
    with answering(lambda client: time.sleep(5)) as url:
        error = problem(url, read_s=0.3)
    assert (error.kind, str(error)) == ("timeout", f"{url.removeprefix('http://')} does not answer (waited 0 s)")


def test_a_deadline_ends_an_answer_that_comes_byte_by_byte() -> None:
    def drip(client: socket.socket) -> None:
        client.recv(4096)
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5" + b" " * 1000:
            client.sendall(bytes([byte]))
            time.sleep(0.05)

    with answering(drip) as url:
        started = time.monotonic()
        assert problem(url, read_s=30, deadline=Deadline(0.5)).kind == "timeout"
        assert time.monotonic() - started < 10


def test_an_answer_that_is_cut_off() -> None:
    def cut(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhel")

    with answering(cut) as url:
        assert problem(url).kind == "lost"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_are_not_there_are_named(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    error = problem("https://127.0.0.1:1")
    assert str(error) == f"{variable} names /nowhere/ca.pem, which does not exist" and variable in error.hint
    (tmp_path / "ca.pem").write_text("not a certificate")
    if variable != "SSL_CERT_DIR":
        monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
        assert f"cannot read {variable}, {tmp_path / 'ca.pem'}: not certificates" in str(problem("https://127.0.0.1:1"))


def test_certificates_are_checked_also_behind_a_proxy(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = server_certificate(tmp_path, "DNS:hub.invalid")

    def serve(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secure:
            secure.recv(4096)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    for scheme in ("http", "socks5h"):
        with answering(serve) as server, running_proxy(Proxy(server)) as proxy:
            monkeypatch.delenv("SSL_CERT_FILE", raising=False)
            monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{proxy.address}")
            error = problem("https://hub.invalid/")
            assert str(error).startswith("TLS certificate verification failed for hub.invalid (through the proxy ")
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            assert fetched("https://hub.invalid/") == b"hello"
