"""HTTP to one server: JSON requests, streamed answers, keys, retries, and a cancel that closes the socket at once."""

import contextlib
import json
import random
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import EndpointError
from hermes_cli.network.problem import NetworkProblem
from hermes_cli.remote.address import Address
from hermes_cli.remote.faults import refusal
from hermes_cli.remote.sse import event_data

if TYPE_CHECKING:
    import httpx2

CONNECT_S = 5.0
_TRIES = 3
_BUSY = (429, 502, 503, 504)
_LONGEST_WAIT_S = 20.0
_LONGEST_ERROR_BYTES = 64 << 10
_CONNECTED = (
    "connection.connect_tcp.complete",
    "connection.connect_unix_socket.complete",
    "connection.start_tls.complete",
)


class Cancelled(Exception):
    """The request was stopped by its cancel token."""


class Client:
    """One server. Use it from one thread; only `CancelToken.cancel` may come from another, or from a signal handler."""

    def __init__(self, address: Address, key: str | None = None) -> None:
        from hermes_cli.network.client import open_client

        self.address = address
        self._socket: socket.socket | None = None
        self._http = open_client(
            connect_s=CONNECT_S,
            read_s=None,
            unix_socket=address.socket_path,
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )

    def get(self, path: str, timeout_s: float = CONNECT_S) -> Any:
        """The JSON at `path`. Raises EndpointError."""
        return self._json("GET", path, None, timeout_s)

    def post(self, path: str, body: Mapping[str, Any], timeout_s: float = 60.0) -> Any:
        """The JSON answer to `body`. Raises EndpointError."""
        return self._json("POST", path, body, timeout_s)

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        self._http.close()

    @contextmanager
    def stream(self, path: str, body: Mapping[str, Any], cancel: CancelToken) -> Iterator[Iterator[Any]]:
        """The events of a streamed answer to `body`, as JSON values, without the closing `[DONE]`.

        A busy or unreachable server is tried again before the first byte. Raises EndpointError, Cancelled.
        """
        with cancel.calling(self._disconnect), self._response(path, body, cancel) as response:
            yield self._values(response, cancel)

    @contextmanager
    def _response(self, path: str, body: Mapping[str, Any], cancel: CancelToken) -> "Iterator[httpx2.Response]":
        for attempt in range(1, _TRIES + 1):
            self._check(cancel)
            with contextlib.ExitStack() as stack:
                try:
                    url, extensions = self.address.base + path, {"trace": self._remember_socket}
                    response = stack.enter_context(self._http.stream("POST", url, json=body, extensions=extensions))
                except NetworkProblem as problem:
                    self._check(cancel)
                    if problem.kind != "unreachable" or attempt == _TRIES:
                        raise self._unreachable(problem) from problem
                    _pause(0.2 * 2**attempt, cancel)
                    continue
                if response.status_code in _BUSY and attempt < _TRIES:
                    wait_s = _retry_after_s(response.headers, 0.5 * 2**attempt)
                    stack.close()
                    _pause(wait_s, cancel)
                    continue
                if response.status_code != 200:
                    raise refusal(self.address, response.status_code, self._start_of(response, cancel))
                yield response
                return

    def _values(self, response: "httpx2.Response", cancel: CancelToken) -> Generator[Any]:
        streamed = "json" not in response.headers.get("content-type", "")
        try:
            if not streamed:
                response.read()
                yield _parsed(response.text)
                return
            for data in event_data(response.iter_bytes()):
                if data.strip() == "[DONE]":
                    return
                self._check(cancel)
                yield _parsed(data)
        except NetworkProblem as problem:
            self._check(cancel)
            raise EndpointError(str(problem), "the server's log may say why") from problem
        self._check(cancel)

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float) -> Any:
        import httpx2

        url, limits = self.address.base + path, httpx2.Timeout(timeout_s, connect=CONNECT_S)
        try:
            response = self._http.request(
                method, url, json=body, timeout=limits, extensions={"trace": self._remember_socket}
            )
        except NetworkProblem as problem:
            raise self._unreachable(problem) from problem
        if response.status_code != 200:
            raise refusal(self.address, response.status_code, response.content[:_LONGEST_ERROR_BYTES])
        return _parsed(response.text)

    def _start_of(self, response: "httpx2.Response", cancel: CancelToken) -> bytes:
        text = b""
        try:
            for chunk in response.iter_bytes():
                text += chunk
                if len(text) > _LONGEST_ERROR_BYTES:
                    break
        except NetworkProblem:
            self._check(cancel)
        return text

    def _unreachable(self, problem: NetworkProblem) -> EndpointError:
        return EndpointError(str(problem), f"check it: hermes doctor --endpoint {self.address}")

    def _remember_socket(self, event: str, info: Mapping[str, Any]) -> None:
        if event in _CONNECTED:
            self._socket = info["return_value"].get_extra_info("socket")

    def _disconnect(self) -> None:
        """End a blocked read or write: the server sees the connection close."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _check(self, cancel: CancelToken) -> None:
        if cancel.cancelled:
            raise Cancelled


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EndpointError(
            f"the server sent no valid JSON: {text[:80]!r}", "check that the endpoint speaks the OpenAI API"
        ) from error


def _retry_after_s(headers: Mapping[str, str], otherwise: float) -> float:
    """How long a busy server asks to wait, at most 20 s; with jitter where it does not say."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            return min(max(float(headers[name]) * factor, 0.0), _LONGEST_WAIT_S)
    return otherwise * random.uniform(0.8, 1.2)


def _pause(seconds: float, cancel: CancelToken) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if cancel.cancelled:
            raise Cancelled
        time.sleep(min(left, 0.05))
