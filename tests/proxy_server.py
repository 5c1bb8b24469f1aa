"""Proxies on a free port of this machine: HTTP with CONNECT, and SOCKS5. They connect every name to one server."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Proxy:
    """What a proxy does and saw: `refusal` is the status line or SOCKS reply code that it answers instead."""

    server_url: str
    refusal: str | int | None = None
    password: str | None = None
    seen: list[str] = field(default_factory=list)
    address: str = ""


@contextmanager
def running_proxy(proxy: Proxy) -> Iterator[Proxy]:
    """The proxy on a port; the first byte shows which protocol is spoken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.address = f"127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=_accept, args=(listener, proxy), daemon=True).start()
        yield proxy


def _accept(listener: socket.socket, proxy: Proxy) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, proxy), daemon=True).start()


def _serve(client: socket.socket, proxy: Proxy) -> None:
    with client, suppress(OSError):
        first = client.recv(1, socket.MSG_PEEK)
        is_open = _socks(client, proxy) if first == b"\x05" else _http(client, proxy)
        if not is_open:
            return
        port = urlsplit(proxy.server_url).port
        with socket.create_connection(("127.0.0.1", port or 0)) as server:
            if is_open != b"connected":
                server.sendall(is_open)
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            _copy(client, server)


def _socks(client: socket.socket, proxy: Proxy) -> bytes:
    """The handshake; what the server is to receive, `connected` for nothing yet, empty after a refusal."""
    _, count = client.recv(2)
    methods = client.recv(count)
    if proxy.password is not None:
        if 2 not in methods:
            client.sendall(b"\x05\xff")
            return b""
        client.sendall(b"\x05\x02")
        sent = client.recv(512)
        name, rest = sent[2 : 2 + sent[1]], sent[2 + sent[1] :]
        right = f"{name.decode()}:{rest[1:].decode()}" == proxy.password
        client.sendall(b"\x01\x00" if right else b"\x01\x01")
        if not right:
            return b""
    else:
        client.sendall(b"\x05\x00")
    kind = client.recv(4)[3]
    host = client.recv(client.recv(1)[0]).decode() if kind == 3 else socket.inet_ntoa(client.recv(4))
    proxy.seen.append(f"{host}:{int.from_bytes(client.recv(2), 'big')}")
    code = proxy.refusal if isinstance(proxy.refusal, int) else 0
    client.sendall(bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0]))
    return b"" if code else b"connected"


def _http(client: socket.socket, proxy: Proxy) -> bytes:
    """A CONNECT or a request with a whole address; the same results as `_socks`."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    proxy.seen.append(target)
    if proxy.refusal:
        client.sendall(f"HTTP/1.1 {proxy.refusal}\r\nContent-Length: 0\r\n\r\n".encode())
        return b""
    if method == "CONNECT":
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return b"connected"
    return head


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
