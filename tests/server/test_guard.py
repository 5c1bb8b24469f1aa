"""Attacks as browsers and careless clients make them, against the real server over plain sockets."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hermes_cli.server.guard import read_json
from hermes_cli.server.protocol.api_error import ApiError
from tests.server.running_server import Server, serving

KEY = "correct-horse"
BODY = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.touch(0o600)
    keys.write_text(f"{KEY}\nsecond\n")
    with serving("--api-key-file", str(keys), "--allow-origin", "https://app.example") as running:
        yield running


def send(server: Server, request: bytes, *, wait_s: float = 20) -> tuple[int, str, dict[str, str]]:
    """The status, the body and the headers of the answer to these bytes."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=wait_s) as connection:
        connection.sendall(request)
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]), body.decode(), headers


def post(
    server: Server, *, host: str | None = None, body: str = BODY, path: str = "/v1/chat/completions", **headers: str
) -> tuple[int, str, dict[str, str]]:
    """A POST with these headers; underscores stand for hyphens."""
    given = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in given.items() if value]
    head = f"POST {path} HTTP/1.1\r\nHost: {host or urlsplit(server.url).netloc}\r\nConnection: close\r\n"
    request = f"{head}Content-Length: {len(body.encode())}\r\n" + "\r\n".join(lines) + f"\r\n\r\n{body}"
    return send(server, request.encode())


def test_an_ordinary_request_passes(server: Server) -> None:
    assert post(server)[0] == 200


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x"])
def test_a_wrong_key_is_refused(server: Server, key: str) -> None:
    status, body, headers = post(server, Authorization=key)
    assert status == 401 and json.loads(body)["error"]["code"] == "invalid_api_key"
    assert headers["www-authenticate"] == "Bearer" and KEY not in body


def test_other_ways_to_give_a_key(server: Server) -> None:
    assert post(server, Authorization="", X_Api_Key="second")[0] == 200


def test_the_key_guards_all_but_health(server: Server) -> None:
    for path, expected in (("/health", 200), ("/metrics", 401), ("/props", 401), ("/v1/models", 401)):
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert send(server, request.encode())[0] == expected


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "evil@localhost", "localhost@evil"),
        *("localhost.", "0.0.0.0", "[::]", "127.0.0.2", "2130706433", "localhost:80:80", "localhost/x", "[::1"),
    ],
)
def test_foreign_hosts_are_refused(server: Server, host: str) -> None:
    assert post(server, host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:8080"])
def test_every_name_of_this_machine_is_a_host(server: Server, host: str) -> None:
    assert post(server, host=host)[0] == 200


@pytest.mark.parametrize("host", ["", "Host:\r\n", "Host: \r\n"])
def test_a_missing_or_empty_host_is_refused(server: Server, host: str) -> None:
    request = f"GET /health HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
    assert send(server, request.encode())[0] in (400, 403)


@pytest.mark.parametrize(
    "path", ["/health/../metrics", "//metrics", "/v1/../props", "/health?/metrics", "/%2e%2e/props"]
)
def test_no_path_leads_around_the_key(server: Server, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, body, _ = send(server, request.encode())
    assert status == 401 or body == '{"status":"ok"}'


@pytest.mark.parametrize("path", ["/metrics", "/props", "/v1/models", "/health"])
def test_foreign_origins_cannot_send_get_requests_either(server: Server, path: str) -> None:
    origin = f"Origin: https://evil.example\r\nX-Api-Key: {KEY}\r\n"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{origin}Connection: close\r\n\r\n"
    assert send(server, request.encode())[0] == 403


def test_a_page_of_the_server_itself_is_allowed(server: Server) -> None:
    assert post(server, Origin=f"http://{urlsplit(server.url).netloc}")[0] == 200
    assert post(server, Origin=f"https://{urlsplit(server.url).netloc}")[0] == 403


def test_a_request_hidden_in_another_ones_body_is_not_answered(server: Server) -> None:
    hidden = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n\r\n"
    request = (
        f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\nContent-Type: application/json\r\n"
        f"Content-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n{hidden}"
    )
    status, body, _ = send(server, request.encode())
    assert status == 400 and "llamacpp" not in body


@pytest.mark.parametrize("method", ["TRACE", "PUT", "DELETE", "CONNECT"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    target = "localhost:1" if method == "CONNECT" else "/v1/models"
    request = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\nConnection: close\r\n\r\n"
    assert send(server, request.encode())[0] in (400, 404, 405)


def test_an_upgrade_to_a_web_socket_is_not_made(server: Server) -> None:
    request = (
        "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert send(server, request.encode())[0] == 200


def test_two_hosts_are_refused(server: Server) -> None:
    request = "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert send(server, request.encode())[0] in (400, 403)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil", "http://app.example"])
def test_foreign_origins_are_refused(server: Server, origin: str) -> None:
    status, _, headers = post(server, Origin=origin)
    assert status == 403 and "access-control-allow-origin" not in headers


def test_an_allowed_origin_gets_its_own_header(server: Server) -> None:
    status, _, headers = post(server, Origin="https://app.example")
    assert (status, headers["access-control-allow-origin"]) == (200, "https://app.example")
    assert headers["vary"] == "Origin"


def test_a_preflight_of_a_foreign_page_allows_nothing(server: Server) -> None:
    request = (
        "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
        "Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n"
    )
    _, _, headers = send(server, request.encode())
    assert not any(name.startswith("access-control") for name in headers)


def test_cross_site_requests_without_an_origin_are_refused(server: Server) -> None:
    assert post(server, Sec_Fetch_Site="cross-site")[0] == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(server: Server, kind: str) -> None:
    assert post(server, Content_Type=kind)[0] == 415


@pytest.mark.parametrize(
    "body", ["{", "[]", '"x"', '{"messages": NaN}', "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, "\x00"]
)
def test_odd_json_is_a_clear_error(server: Server, body: str) -> None:
    status, text, _ = post(server, body=body)
    assert status == 400 and json.loads(text)["error"]["type"] == "invalid_request_error" and len(text) < 2048


def test_too_large_body_is_refused_before_reading_it(server: Server) -> None:
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        "Content-Type: application/json\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\n"
    )
    assert send(server, request.encode())[0] == 413


def test_a_chunked_body_is_counted_too(server: Server) -> None:
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    assert send(server, head.encode() + piece * 8 + b"1\r\n \r\n")[0] == 413


def test_a_body_that_arrives_too_slowly_is_refused() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    scope = {"headers": [(b"content-type", b"application/json")]}
    with pytest.raises(ApiError) as caught:
        asyncio.run(read_json(scope, receive, 0.1))
    assert caught.value.status == 408


def test_connections_that_never_send_a_whole_request_are_closed(server: Server) -> None:
    address = urlsplit(server.url)
    with (
        socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as silent,
        socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as second,
    ):
        second.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while b"}" not in answer:
            answer += second.recv(4096)
        second.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        assert silent.recv(1) == b"" and second.recv(4096) == b""


def test_a_connection_whose_body_goes_on_after_the_answer_is_closed(server: Server) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=0.2) as refused:
        refused.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: evil\r\nContent-Length: 100000\r\n\r\n")
        answer, given_up_at = b"", time.monotonic() + 60
        with pytest.raises(ConnectionError):
            while time.monotonic() < given_up_at:
                with suppress(TimeoutError):
                    answer += (piece := refused.recv(4096))
                    if not piece:
                        raise ConnectionResetError
                refused.sendall(b" ")
    assert answer.startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/v1/completions", {"POST", "OPTIONS"}),
        ("OPTIONS", "/v1/completions", {"POST", "OPTIONS"}),
        ("OPTIONS", "/v1/models", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_methods_that_a_path_does_not_have_are_refused(
    server: Server, method: str, path: str, allowed: set[str]
) -> None:
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\nConnection: close\r\n\r\n"
    status, _, headers = send(server, request.encode())
    assert status == (200 if method == "OPTIONS" else 405)
    assert set(headers["allow"].split(", ")) == allowed


def test_large_headers_are_refused(server: Server) -> None:
    request = "GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: " + "a" * 40_000 + "\r\nConnection: close\r\n\r\n"
    assert send(server, request.encode())[0] in (400, 431)
    many = "".join(f"X-{number}: a\r\n" for number in range(150))
    assert (
        send(server, f"GET /health HTTP/1.1\r\nHost: localhost\r\n{many}Connection: close\r\n\r\n".encode())[0] == 431
    )


def test_what_does_not_exist_is_a_json_error(server: Server) -> None:
    status, body, _ = post(server, path="/v1/nothing")
    assert status == 404 and json.loads(body)["error"]["type"] == "not_found_error"


def test_a_unix_socket_is_private(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with serving("--uds", str(path)) as running:
        assert running.url == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in connection.recv(4096)
    assert not path.exists()
