"""Connections to servers: to the first address that answers, checked before, every wait within a deadline."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore2

from hermes_cli.network.problem import NetworkProblem

_READ_BYTES = 1 << 19
# Called with a host and each of its addresses, None where only a proxy knows them; raises NetworkProblem to refuse.
AddressCheck = Callable[[str, str | None], None]


class Deadline:
    """A limit on everything a client does, from now on until `lift`: name look-up excepted."""

    def __init__(self, seconds: float | None = None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def lift(self) -> None:
        """Remove the limit, as before a long body is read."""
        self._end = None

    def left(self, timeout_s: float | None) -> float | None:
        """The shorter of a timeout and the time left. Raises httpcore2.ReadTimeout where none is left."""
        if self._end is None:
            return timeout_s
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("out of time")
        return left if timeout_s is None else min(left, timeout_s)


class Network(httpcore2.NetworkBackend):
    """Connections that keep the deadline, to addresses that may be connected to."""

    def __init__(self, deadline: Deadline, check_address: AddressCheck | None) -> None:
        self._deadline, self._check_address = deadline, check_address
        self._sockets = httpcore2.SyncBackend()
        self._latest = threading.local()

    def close_latest(self) -> None:
        """Close the connection that this thread opened last: httpcore leaves open what a SOCKS proxy refuses."""
        if stream := getattr(self._latest, "stream", None):
            stream.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address that answers; each gets its share of the time."""
        try:
            addresses = _addresses(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        if self._check_address:
            for address in addresses:
                self._check_address(host, address)
        timeout = self._deadline.left(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        for number, address in enumerate(addresses):
            share = None if end is None else max(end - time.monotonic(), 0.01) / (len(addresses) - number)
            try:
                stream = self._sockets.connect_tcp(address, port, share, local_address, socket_options or ())
                self._latest.stream = opened = _Stream(stream, self._deadline)
                return opened
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if number == len(addresses) - 1:
                    raise
        raise httpcore2.ConnectError(f"{host} has no address")


def check_behind_proxy(host: str, port: int, check_address: AddressCheck) -> None:
    """Check the addresses of a server that a proxy connects to, as far as they can be looked up here."""
    try:
        addresses: list[str] = _addresses(host, port)
    except OSError:
        check_address(host, None)
        return
    for address in addresses:
        check_address(host, address)


def _addresses(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OSError, and NetworkProblem for what cannot be a host's name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise NetworkProblem("address", f"{host} is not a valid host name", "check the address") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class _Stream(httpcore2.NetworkStream):
    """A connection whose every wait ends with the deadline."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # httpcore reads bodies by 64 KiB and takes any size; with larger reads a download costs half of the time.
        count = _READ_BYTES if max_bytes >= 1 << 16 else max_bytes
        return self._stream.read(count, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        timeout = self._deadline.left(timeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
