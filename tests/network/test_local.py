"""Requests to a server on this machine: its answer as it comes, and what an error means."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hermes_cli.network.local import LocalConnector
from hermes_cli.network.problem import NetworkProblem

Serve = Callable[[socket.socket], None]


@contextmanager
def answering(listener: socket.socket, serve: Serve) -> Iterator[None]:
    """Within the block, `serve` is done with each connection."""

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.recv(4096)
                    serve(client)

    with listener:
        listener.listen()
        threading.Thread(target=accept, daemon=True).start()
        yield
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def fetched(url: str, unix_socket: str | None = None, read_s: float = 5.0) -> bytes:
    answer = LocalConnector(unix_socket).send(
        "GET", url, {}, None, connect_s=5.0, read_s=read_s, on_connect=lambda _: None
    )
    try:
        return b"".join(answer.iter_bytes())
    finally:
        answer.close()


def on_port(serve: Serve, read_s: float = 5.0) -> bytes:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with answering(listener, serve):
        return fetched(f"http://127.0.0.1:{port}/v1/models?all=1", read_s=read_s)


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_bodies_are_read_whole(text: bytes) -> None:
    assert on_port(lambda client: client.sendall(text)) == b"hello"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"what?\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n",
    ],
)
def test_early_end_of_the_stream_is_an_error(text: bytes) -> None:
    with pytest.raises(NetworkProblem, match=r"^the connection to 127\.0\.0\.1:\d+ was lost$") as caught:
        on_port(lambda client: client.sendall(text))
    assert caught.value.kind == "lost"


def test_silence_is_reported_after_the_time_limit() -> None:
    silent = threading.Event()

    def wait(_: socket.socket) -> None:
        silent.wait(10)

    try:
        with pytest.raises(NetworkProblem, match=r"does not answer \(waited 0 s\)$") as caught:
            on_port(wait, read_s=0.1)
    finally:
        silent.set()
    assert caught.value.kind == "timeout"


def test_a_port_without_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NetworkProblem, match=f"^cannot reach 127.0.0.1:{port}: Connection refused$") as caught:
        fetched(f"http://127.0.0.1:{port}/")
    assert caught.value.kind == "unreachable"


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    with answering(listener, lambda client: client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")):
        assert fetched("http://localhost/v1/models", path) == b"hello"
    Path(path).unlink()
    with pytest.raises(NetworkProblem, match=f"^cannot reach {path}: No such file or directory$"):
        fetched("http://localhost/", path)
