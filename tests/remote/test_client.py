"""The HTTP client of endpoints with real sockets: connecting, cancelling, retrying, redirects and keys."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import EndpointError, LoadCancelled
from hermes_cli.network.proxies import NETWORK_VARIABLES
from hermes_cli.remote.address import Address, parse_address
from hermes_cli.remote.backend import EndpointOptions, open_remote
from hermes_cli.remote.client import DONE, Cancelled, Client
from tests.certificate import server_certificate
from tests.network.test_client import answering
from tests.proxy_server import Proxy, running_proxy
from tests.remote.odd_server import OddServer, Reply, events, odd_server

TEXT = events({"choices": [{"delta": {"content": "ok"}, "finish_reason": "stop"}]})
JSON = "application/json"


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as running:
        yield running


@pytest.fixture
def client(server: OddServer) -> Iterator[Client]:
    opened = Client(parse_address(server.url), "sk-secret")
    yield opened
    opened.close()


@pytest.fixture
def full() -> Iterator[str]:
    """The address of a listener with a full queue: connecting to it hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        place = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(place)
        time.sleep(0.05)
        yield f"127.0.0.1:{place[1]}"
        for one in waiting:
            one.close()


def streamed(client: Client, cancel: CancelToken | None = None) -> list[object]:
    with client.stream("/v1/x", {}, cancel or CancelToken()) as values:
        return list(values)


def cancelled_after(seconds: float) -> CancelToken:
    cancel = CancelToken()
    threading.Timer(seconds, lambda: cancel.cancel("interrupt")).start()
    return cancel


def test_a_cancel_ends_an_attempt_to_connect_at_once(full: str) -> None:
    started = time.monotonic()
    with pytest.raises(LoadCancelled):
        open_remote(EndpointOptions(parse_address(full)), cancelled_after(0.2))
    assert time.monotonic() - started < 2


def test_connecting_gives_up_in_the_end(full: str) -> None:
    with pytest.raises(EndpointError, match="does not answer"):
        open_remote(EndpointOptions(parse_address(full)))


def test_a_cancel_ends_the_probe_of_a_server_that_accepts_and_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(LoadCancelled):
            open_remote(EndpointOptions(Address(f"http://127.0.0.1:{silent.getsockname()[1]}")), cancelled_after(0.2))
        assert time.monotonic() - started < 2
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(5)
            while connection.recv(4096):
                pass  # the end of the stream: the client has closed


@pytest.mark.parametrize("held", [[], TEXT[:1]], ids=["before the first byte", "while it streams"])
def test_the_server_sees_a_cancel_within_a_fifth_of_a_second(
    server: OddServer, client: Client, held: list[bytes]
) -> None:
    server.replies, server.hold = [Reply(held)], True
    cancel, asked_at = CancelToken(), [0.0]

    def stop() -> None:
        asked_at[0] = time.monotonic()
        cancel.cancel("interrupt")

    threading.Timer(0.3, stop).start()
    with pytest.raises(Cancelled):
        streamed(client, cancel)
    assert server.left.wait(5)
    assert server.left_at - asked_at[0] < 0.2


@pytest.mark.parametrize(
    ("status", "headers", "tries"),
    [
        (429, {}, 2),
        (503, {"retry-after": "0"}, 2),
        (502, {"retry-after-ms": "1"}, 2),
        (504, {}, 1),
        (500, {"retry-after": "0"}, 1),
    ],
)
def test_only_a_busy_server_is_tried_again(
    server: OddServer, client: Client, status: int, headers: dict[str, str], tries: int
) -> None:
    server.replies = [Reply([b"{}"], status, JSON, headers), Reply(TEXT)]
    if tries == 1:
        with pytest.raises(EndpointError, match=f"answered {status}"):
            streamed(client)
    else:
        _, end = streamed(client)
        assert end is DONE
    assert len(server.bodies) == tries


def test_nothing_is_sent_again_after_the_first_byte(server: OddServer, client: Client) -> None:
    server.replies = [Reply([b"data: {broken\n\n"]), Reply(TEXT)]
    with pytest.raises(EndpointError):
        streamed(client)
    assert len(server.bodies) == 1


def test_a_wait_that_a_busy_server_asks_for_can_be_cancelled(server: OddServer, client: Client) -> None:
    server.replies = [Reply([b"{}"], 429, JSON, {"retry-after": "15"})]
    started = time.monotonic()
    with pytest.raises(Cancelled):
        streamed(client, cancelled_after(0.2))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_named_and_not_followed(server: OddServer, client: Client, status: int) -> None:
    with odd_server() as elsewhere:
        server.replies = [Reply([b""], status, JSON, {"location": f"{elsewhere.url}/v1/x"})]
        with pytest.raises(EndpointError, match=f"redirects to {elsewhere.url}/v1/x"):
            streamed(client)
        assert elsewhere.headers == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply([b'{"error": {"message": "wrong key: sk-secret"}}'], 401, JSON),
        Reply([b'{"error": "wrong key: sk-secret"}'], 200, JSON),
        Reply(events({"error": {"message": "sk-secret"}})),
        Reply([b"data: sk-secret\n\n"]),
        Reply([b""], 307, JSON, {"location": "http://other/?key=sk-secret"}),
    ],
)
def test_a_key_that_the_server_repeats_is_not_in_the_error(server: OddServer, reply: Reply) -> None:
    from hermes_cli.chat.message import Message
    from hermes_cli.chat.request import GenerationRequest

    opened = open_remote(EndpointOptions(parse_address(server.url), key="sk-secret", context_length=4096))
    server.replies = [reply]
    with pytest.raises(EndpointError) as caught:
        list(opened.generate(GenerationRequest((Message("user", "Hi"),)), CancelToken()))
    opened.close()
    assert server.headers[0]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("url", "key", "exposed"),
    [
        ("http://192.0.2.1:8000", "k", True),
        ("http://192.0.2.1:8000", None, False),
        ("https://192.0.2.1", "k", False),
        ("http://127.0.0.1:8000", "k", False),
        ("http://localhost", "k", False),
        ("unix:/tmp/x", "k", False),
    ],
)
def test_a_key_over_plain_http_to_another_machine_is_noticed(url: str, key: str | None, exposed: bool) -> None:
    client = Client(parse_address(url), key)
    assert client.exposes_key == exposed
    client.close()


@pytest.mark.parametrize("scheme", [None, "http", "socks5h"])
def test_a_cancel_while_a_tls_server_is_silent(
    scheme: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = server_certificate(tmp_path, "DNS:api.invalid,IP:127.0.0.1")
    for name in NETWORK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    left = threading.Event()

    class Silent(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.connection.recv(1) == b"":
                left.set()

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as served:
        served.socket = context.wrap_socket(served.socket, server_side=True)
        threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
        url = f"https://127.0.0.1:{served.server_port}"
        with running_proxy(Proxy(url)) as proxy:
            if scheme:
                monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://{proxy.address}")
            client = Client(Address("https://api.invalid" if scheme else url))
            with pytest.raises(Cancelled):
                streamed(client, cancelled_after(0.5))
            assert left.wait(5)
            client.close()
        served.shutdown()


@pytest.mark.parametrize(
    "head", ["HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", "HTTP/1.1 200 OK\r\nX-Slow: "], ids=["body", "head"]
)
def test_an_answer_that_comes_byte_by_byte_does_not_prolong_the_time_limit(head: str) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(head.encode())
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)

    with answering(trickle) as url:
        client = Client(parse_address(url))
        with pytest.raises(EndpointError, match=r"does not answer \(waited 1 s\)"):
            client.get("/v1/models", timeout_s=1.0)
        client.close()


@pytest.mark.parametrize("kind", [JSON, "text/plain"])
def test_an_endless_answer_is_given_up(kind: str) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
        while True:
            connection.sendall(b" " * (1 << 20))

    with answering(flood) as url:
        client = Client(parse_address(url))
        with pytest.raises(EndpointError, match="more than 64 MiB"):
            client.get("/v1/models")
        with pytest.raises(EndpointError, match=r"more than 64 MiB|an endless line"):
            streamed(client)
        client.close()
