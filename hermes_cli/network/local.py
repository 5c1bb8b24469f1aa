"""HTTP to a server on this machine: a connection for each request, without TLS and proxies.

The client for other servers takes as long to import as all of Typer; this one needs the standard library.
"""

import http.client
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from hermes_cli.network.problem import NetworkProblem

_READ_BYTES = 1 << 16


class LocalConnector:
    """Connects to a loopback address, or to a Unix socket; see `Connector`."""

    def __init__(self, unix_socket: str | None = None) -> None:
        self._unix_socket = unix_socket

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        connect_s: float,
        read_s: float | None,
        on_connect: Callable[[socket.socket], None],
    ) -> "LocalAnswer":
        """See `Connector`."""
        parts = urlsplit(url)
        server = _Server(self._unix_socket or parts.netloc)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80)
        try:
            connection.sock = self._connected(connection, connect_s)
        except OSError as error:
            raise server.not_connected(error) from error
        try:
            on_connect(connection.sock)
            connection.sock.settimeout(read_s)
            target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            connection.request(method, target, body, {**headers, "Connection": "close"})
            return LocalAnswer(connection.getresponse(), connection, server)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise server.lost(error) from error
        except BaseException:
            connection.close()
            raise

    def _connected(self, connection: http.client.HTTPConnection, connect_s: float) -> socket.socket:
        if self._unix_socket is None:
            opened = socket.create_connection((connection.host, connection.port), connect_s)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return opened
        opened = socket.socket(socket.AF_UNIX)
        try:
            opened.settimeout(connect_s)
            opened.connect(self._unix_socket)
        except BaseException:
            opened.close()
            raise
        return opened

    def close(self) -> None:
        """See `Connector`; every answer closes its own connection."""


class LocalAnswer:
    """See `Answer`."""

    def __init__(
        self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection, server: "_Server"
    ) -> None:
        self._response, self._connection, self._server = response, connection, server
        self.status_code = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    def iter_bytes(self) -> Iterator[bytes]:
        """See `Answer`."""
        try:
            while piece := self._response.read1(_READ_BYTES):
                yield piece
            if self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
        except (OSError, http.client.HTTPException) as error:
            raise self._server.lost(error) from error

    def close(self) -> None:
        """See `Answer`."""
        self._response.close()
        self._connection.close()


class _Server:
    """The server by the name that its errors give it, and since when it is waited for."""

    def __init__(self, name: str) -> None:
        self._name, self._started = name, time.monotonic()

    def not_connected(self, error: OSError) -> NetworkProblem:
        if isinstance(error, TimeoutError):
            return self.lost(error)
        words = error.strerror or str(error)
        return NetworkProblem("unreachable", f"cannot reach {self._name}: {words}", is_temporary=True)

    def lost(self, error: Exception) -> NetworkProblem:
        if isinstance(error, TimeoutError):
            waited_s = time.monotonic() - self._started
            return NetworkProblem(
                "timeout", f"{self._name} does not answer (waited {waited_s:.0f} s)", is_temporary=True
            )
        return NetworkProblem("lost", f"the connection to {self._name} was lost", is_temporary=True)
