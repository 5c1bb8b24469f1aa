"""A web server that behaves like the hub and its CDN, with faults on order.

The hub answers `/api/models/...` and sends `/OWNER/NAME/resolve/REVISION/FILE` on to the CDN, another port. The CDN
knows ranges, ETags and If-Range. `/plain/FILE` is a server without checksums. Each body that is asked for takes the
next fault from `faults`, if there is one.
"""

import hashlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer. `at` counts bytes of the body; `whole` ignores the range, and stops there."""

    kind: Literal[
        "cut", "reset", "stall", "status", "whole", "length", "range", "flip", "login", "close", "chunked", "hang"
    ]
    at: int = 0
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Hub:
    """What the server offers, and what it was asked for."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    plain: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    token: str | None = None
    claimed_sizes: dict[str, int] = field(default_factory=dict)
    false_hashes: dict[str, str] = field(default_factory=dict)
    publishes_hashes: bool = True
    faults: list[Fault] = field(default_factory=list)
    api_faults: list[Fault] = field(default_factory=list)
    bytes_a_second: int | None = None
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    keys: dict[bytes, str] = field(default_factory=dict)
    url: str = ""
    cdn_url: str = ""

    def put(self, repository: str, name: str, data: bytes) -> None:
        """Offer a file."""
        self.repositories.setdefault(repository, {})[name] = data

    def sha256(self, name: str, data: bytes) -> str:
        """The checksum that the hub publishes."""
        return self.false_hashes.get(name) or self.key(data)

    def key(self, data: bytes) -> str:
        """The checksum of what is offered, by which the CDN knows it; computed once."""
        if data not in self.keys:
            self.keys[data] = hashlib.sha256(data).hexdigest()
        return self.keys[data]

    def bodies(self) -> list[tuple[str, dict[str, str]]]:
        """The requests for bytes of a file."""
        return [entry for entry in self.requests if entry[0].startswith(("/cdn/", "/plain/"))]


@contextmanager
def running(hub: Hub, tls: ssl.SSLContext | None = None) -> Iterator[Hub]:
    """The server on two free ports of this machine."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    servers = [_Server(("127.0.0.1", 0), handler) for _ in range(2)]
    if tls:
        for server in servers:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    hub.url, hub.cdn_url = (f"{scheme}://127.0.0.1:{server.server_port}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        """As GET."""
        self.do_GET()

    def do_GET(self) -> None:
        """One request; a proxy is asked with the whole address."""
        self.path = re.sub(r"^http://[^/]+", "", self.path)
        self.hub.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = unquote(urlsplit(self.path).path)
        parts = path.strip("/").split("/")
        if path.startswith("/api/models/"):
            self._api("/".join(parts[2:4]))
        elif path.startswith("/cdn/"):
            data = next(
                d for files in self.hub.repositories.values() for d in files.values() if self.hub.key(d) == parts[1]
            )
            self._body(data, f'"{parts[1]}"')
        elif path.startswith("/plain/"):
            plain = self.hub.plain.get(parts[1])
            self._body(plain, f'"{self.hub.key(plain)}"') if plain is not None else self._refuse(404)
        elif len(parts) > 4 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), "/".join(parts[4:]))
        else:
            self._refuse(404)

    def _allowed(self, repository: str) -> bool:
        given = self.headers.get("Authorization")
        if given and given != f"Bearer {self.hub.token}":
            self._refuse(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
            return False
        if repository not in self.hub.repositories:
            self._refuse(401 if not given else 404, {"X-Error-Code": "RepoNotFound"})
            return False
        return True

    def _api(self, repository: str) -> None:
        if self.hub.api_faults:
            fault = self.hub.api_faults.pop(0)
            if fault.kind == "hang":
                threading.Event().wait(fault.seconds)
            elif fault.kind == "reset":
                self._reset()
            else:
                self._refuse(fault.status, fault.headers)
            return
        if not self._allowed(repository):
            return
        files = [
            {
                "rfilename": name,
                "size": self.hub.claimed_sizes.get(name, len(data)),
                "blobId": "0" * 40,
                **({"lfs": self._facts(name, data)} if self.hub.publishes_hashes else {}),
            }
            for name, data in self.hub.repositories[repository].items()
        ]
        self._send(json.dumps({"id": repository, "sha": COMMIT, "siblings": files}).encode(), "application/json")

    def _facts(self, name: str, data: bytes) -> dict[str, str | int]:
        return {"sha256": self.hub.sha256(name, data), "size": len(data), "pointerSize": 135}

    def _resolve(self, repository: str, name: str) -> None:
        if not self._allowed(repository):
            return
        if repository in self.hub.gated and not self.headers.get("Authorization"):
            self._refuse(401, {"X-Error-Code": "GatedRepo"})
            return
        data = self.hub.repositories[repository].get(name)
        if data is None:
            self._refuse(404, {"X-Error-Code": "EntryNotFound"})
            return
        self.send_response(302)
        self.send_header("Location", f"{self.hub.cdn_url}/cdn/{self.hub.key(data)}/file?signature=abc")
        if self.hub.publishes_hashes:
            self.send_header("X-Linked-Etag", f'"{self.hub.sha256(name, data)}"')
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _body(self, data: bytes, etag: str) -> None:
        """A file, or the part of it that is asked for."""
        fault = self.hub.faults.pop(0) if self.hub.faults and self.command == "GET" else None
        if fault and fault.kind == "status":
            self._refuse(fault.status, fault.headers)
            return
        if fault and fault.kind == "login":
            self._send(b"<html>Please log in to this network</html>" * 200, "text/html")
            return
        begin, status = 0, 200
        wanted = self.headers.get("Range")
        if wanted and (fault is None or fault.kind != "whole") and self.headers.get("If-Range", etag) == etag:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last) + 1 if last else len(data), len(data))
            if begin >= len(data):
                self._refuse(416, {"Content-Range": f"bytes */{len(data)}"})
                return
            status, total, data = 206, len(data), data[begin:end]
        self.send_response(status)
        if status == 206:
            shift = 7 if fault and fault.kind == "range" else 0
            self.send_header("Content-Range", f"bytes {begin + shift}-{begin + len(data) - 1}/{total}")
        self.send_header("ETag", etag)
        self.send_header("Accept-Ranges", "bytes")
        self._payload(data, fault)

    def _payload(self, data: bytes, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        at = min(fault.at, len(data)) if fault else 0
        if kind == "flip" and data:
            data = data[: at - 1] + bytes([data[at - 1] ^ 1]) + data[at:]
        if kind == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (data[:at], data[at:]):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if piece else b"")
            self.wfile.write(b"0\r\n\r\n")
            return
        if kind != "close":
            self.send_header("Content-Length", str(len(data) + (fault.at if fault and kind == "length" else 0)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if self.command == "HEAD":
            return
        stops = kind in ("cut", "reset", "stall", "close") or (kind == "whole" and at > 0)
        self._write(data[:at] if stops else data)
        if kind == "reset":
            self._reset()
        elif kind == "stall" and fault:
            threading.Event().wait(fault.seconds)

    def _write(self, data: bytes) -> None:
        """At the rate that is wanted at the moment."""
        while data:
            rate = self.hub.bytes_a_second
            step = len(data) if rate is None else max(rate // 50, 1)
            self.wfile.write(data[:step])
            self.wfile.flush()
            data = data[step:]
            if rate is not None:
                threading.Event().wait(step / rate)

    def _reset(self) -> None:
        """Drop the connection the hard way."""
        self.wfile.flush()
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def _refuse(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
