"""A local HTTP server that replays prepared answers byte by byte, and records what it was sent."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """An answer: its chunks are sent one by one; the connection closes after them."""

    chunks: list[bytes]
    status: int = 200
    content_type: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class OddServer:
    """`replies` are given in order to POST requests of `/v1/`; `pages` are the JSON answers to GET requests."""

    url: str = ""
    pages: dict[str, Any] = field(default_factory=lambda: {"/v1/models": {"data": [{"id": "m"}]}})
    replies: list[Reply] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)  # of GET requests
    left: threading.Event = field(default_factory=threading.Event)  # the client closed its connection
    left_at: float = 0.0  # by the monotonic clock
    hold: bool = False  # keep the connection open after the last chunk


def events(*values: Any, done: bool = True) -> list[bytes]:
    """JSON values as server-sent events."""
    return [f"data: {json.dumps(value)}\n\n".encode() for value in values] + ([b"data: [DONE]\n\n"] if done else [])


@contextmanager
def odd_server() -> Iterator[OddServer]:
    """The server, running until the end of the block."""
    state = OddServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

        def do_GET(self) -> None:
            known = self.path in state.pages
            body = json.dumps(state.pages.get(self.path, {"error": "not found"})).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            state.paths.append(self.path)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.bodies.append(json.loads(body))
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = state.replies.pop(0)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            for chunk in reply.chunks:
                self.wfile.write(chunk)
                self.wfile.flush()
            if state.hold and self.connection.recv(1) == b"":
                state.left_at = time.monotonic()
                state.left.set()
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
