"""The server's process: its sockets, its signals, and an orderly end."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hermes_cli.errors import EXIT_TERMINATED, HermesError
from hermes_cli.server.host import ModelHost

_GRACE_S = 5
_MOST_CONNECTIONS = 128
_LARGEST_HEADER_BYTES = 16 << 10
_SLOWEST_S = 10

_WATCH = """
read -r ended || printf '%s\\n' 'error: the server was killed, or crashed inside llama.cpp' \\
    'hint: check the memory and the build: hermes doctor' >&2
"""


@contextmanager
def listening(hosts: Sequence[str], port: int, uds: Path | None) -> Iterator[list[socket.socket]]:
    """Sockets that listen on every host, or at a path that only the user may use. Raises HermesError."""
    sockets: list[socket.socket] = []
    # uvicorn raises the signals it caught again at its end; by default that would skip the clean-up.
    signal.signal(signal.SIGTERM, _leave)
    try:
        if uds:
            sockets.append(_unix_socket(uds))
        for host in () if uds else hosts:
            with contextlib.suppress(_NoSuchFamily):
                sockets.append(_tcp_socket(host, port or (sockets[0].getsockname()[1] if sockets else 0)))
        if not sockets:
            raise HermesError(f"cannot listen on {', '.join(hosts)}", "choose another address: --host 127.0.0.1")
        yield sockets
    finally:
        for one in sockets:
            one.close()
        if uds and sockets:
            uds.unlink(missing_ok=True)


@contextmanager
def crash_reported() -> Iterator[None]:
    """Print an error if the process dies within the block, as by a crash inside llama.cpp: a shell waits for it."""
    with subprocess.Popen(["/bin/sh", "-c", _WATCH], stdin=subprocess.PIPE, start_new_session=True) as watcher:
        try:
            yield
        finally:
            watcher.communicate(b"ended\n")


def serve(app: Any, host: ModelHost, sockets: list[socket.socket]) -> None:
    """Answer requests until SIGINT or SIGTERM, then finish what runs, or end it after a few seconds."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_S + 2,
        h11_max_incomplete_event_size=_LARGEST_HEADER_BYTES,
    )
    for name in ("uvicorn.error", "uvicorn.asgi"):  # nothing of a client's requests goes to stderr
        logging.getLogger(name).disabled = True
    server = _Server(config, host)
    try:
        server.run(sockets=sockets)
    finally:
        host.close()


def _leave(number: int, frame: Any) -> None:
    raise SystemExit(EXIT_TERMINATED)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, host: ModelHost) -> None:
        super().__init__(config)
        self._host = host
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for a signal; uvicorn's own loop wakes up ten times a second."""
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)
        if not self.should_exit:
            await self._ended.wait()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """The first signal lets running answers finish for a while; the second one ends them."""
        if self._host.closing:
            self._host.stop_all()
        self._host.closing = True
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._ended.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for running answers; those that take too long end with an error."""
        timer = asyncio.get_running_loop().call_later(_GRACE_S, self._host.stop_all)
        await super().shutdown(sockets)
        timer.cancel()


class _Protocol(H11Protocol):
    """Closes connections on which a request line and headers, or a body after its answer, take too long to arrive."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._start_timer()
        elif not self.cycle or not self.cycle.response_complete:
            self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._timer = self._timer or self.loop.call_later(_SLOWEST_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


class _NoSuchFamily(Exception):
    """This machine has no addresses of that family."""


def _tcp_socket(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        if ":" in host:
            raise _NoSuchFamily from error
        why = error.strerror if isinstance(error, OSError) else "it is not a host name"
        raise HermesError(f"cannot listen on {host}: {why}", "choose another address: --host") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind(address)
        found.listen(_MOST_CONNECTIONS)
    except OSError as error:
        found.close()
        if family == socket.AF_INET6 and host == "::1" and error.errno != errno.EADDRINUSE:
            raise _NoSuchFamily from error
        raise HermesError(
            f"cannot listen on {host} port {port}: {error.strerror}", "choose another one: --port 0 takes any free one"
        ) from error
    return found


def _unix_socket(path: Path) -> socket.socket:
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        found.bind(str(path))
        found.listen(_MOST_CONNECTIONS)
    except OSError as error:
        found.close()
        raise HermesError(
            f"cannot listen at {path}: {error.strerror or error}", "choose another path: --uds"
        ) from error
    finally:
        os.umask(before)
    return found


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
