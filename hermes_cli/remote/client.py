"""HTTP to one server: JSON requests, streamed answers, keys, retries, and a cancel that closes the socket at once."""

import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from hermes_cli import __version__
from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import EndpointError, HermesError
from hermes_cli.network.exchange import Answer, Connector, joined_blocks
from hermes_cli.network.problem import NetworkProblem
from hermes_cli.remote.address import Address
from hermes_cli.remote.faults import refusal
from hermes_cli.remote.sse import event_data

_CONNECT_S = 5.0
_ERROR_S = 10.0  # for the text of an error
_TRIES = 3
_BUSY = (429, 503)
# Only with Retry-After: a gateway that gave up waiting for a long prompt must not get it again.
_BUSY_IF_SAID = (502, 504)
_LONGEST_WAIT_S = 20.0
_LARGEST_ERROR_BYTES = 64 << 10
_LARGEST_JSON_BYTES = 64 << 20
_SHORTEST_SECRET = 4
_WAKE_S = 0.05
DONE = object()  # the last value of a stream that its server ended as complete
_Result = TypeVar("_Result")


class Cancelled(Exception):
    """The request was stopped by its cancel token."""


class Client:
    """One server. Use it from one thread; only `CancelToken.cancel` may come from another, or from a signal handler."""

    def __init__(self, address: Address, key: str | None = None) -> None:
        self.address = address
        self._key = key
        self._cancel = CancelToken()
        self._closed = False
        self._sockets: list[socket.socket] = []
        self._http = _connector(address)

    @property
    def exposes_key(self) -> bool:
        """Whether a key travels unencrypted over a network."""
        return self._key is not None and not self.address.is_local and self.address.base.startswith("http:")

    @contextmanager
    def stopped_by(self, cancel: CancelToken) -> Iterator[None]:
        """Within the block, `cancel` ends `get` and `post`, which raise Cancelled then."""
        before, self._cancel = self._cancel, cancel
        try:
            yield
        finally:
            self._cancel = before

    def get(self, path: str, timeout_s: float = _CONNECT_S) -> Any:
        """The JSON at `path`, within `timeout_s` in all. Raises EndpointError, Cancelled."""
        return self._json("GET", path, None, timeout_s)

    def post(self, path: str, body: Mapping[str, Any], timeout_s: float = 60.0) -> Any:
        """The JSON answer to `body`, within `timeout_s` in all. Raises EndpointError, Cancelled."""
        return self._json("POST", path, body, timeout_s)

    def close(self) -> None:
        """Close the connection, which cancels a request in progress; closing twice is harmless."""
        self._closed = True
        self._disconnect()
        self._http.close()

    @contextmanager
    def stream(self, path: str, body: Mapping[str, Any], cancel: CancelToken) -> Iterator[Iterator[Any]]:
        """The events of a streamed answer to `body`, as JSON values, without the closing `[DONE]`.

        A busy or unreachable server is tried again before the first byte. Errors that are raised in the block lose the
        key, should the server have repeated it. Raises EndpointError, Cancelled.
        """
        with cancel.calling(self._disconnect), self._without_key():
            response = self._first_answer(path, body, cancel)
            with contextlib.closing(response):
                yield self._values(response, cancel)

    def _first_answer(self, path: str, body: Mapping[str, Any], cancel: CancelToken) -> Answer:
        """The response with status 200, its body unread."""
        for attempt in range(1, _TRIES + 1):
            try:
                response = self._on_thread(lambda: self._send("POST", path, body, cancel, None), cancel)
            except NetworkProblem as problem:
                if problem.kind != "unreachable" or attempt == _TRIES:
                    raise self._unreachable(problem) from problem
                _pause(0.2 * 2**attempt, cancel)
                continue
            if response.status_code == 200:
                return response
            with contextlib.closing(response):
                if attempt == _TRIES or not _is_busy(response):
                    raise self._on_thread(lambda: self._refusal(response), cancel, _ERROR_S)  # noqa: B023 - runs here
            _pause(_retry_after_s(response.headers, 0.5 * 2**attempt), cancel)
        raise AssertionError("the last try returns or raises")

    def _values(self, response: Answer, cancel: CancelToken) -> Generator[Any]:
        try:
            if "json" in response.headers.get("content-type", ""):
                whole = _whole(response)
                self._check(cancel)
                if not whole.lstrip().startswith(b"data:"):
                    yield _parsed(whole.decode("utf-8", "replace"))
                    return
                chunks = iter((whole,))
            else:
                chunks = response.iter_bytes()
            for data in event_data(chunks):
                self._check(cancel)
                if data.strip() == "[DONE]":
                    yield DONE
                    return
                if data.strip():
                    yield _parsed(data)
        except NetworkProblem as problem:
            self._check(cancel)
            raise EndpointError(str(problem), "the server's log may say why") from problem
        self._check(cancel)

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float) -> Any:
        cancel = self._cancel

        def exchange() -> bytes:
            with contextlib.closing(self._send(method, path, body, cancel, timeout_s)) as response:
                if response.status_code != 200:
                    raise self._refusal(response)
                return _whole(response)

        with cancel.calling(self._disconnect), self._without_key():
            try:
                return _parsed(self._on_thread(exchange, cancel, timeout_s).decode("utf-8", "replace"))
            except NetworkProblem as problem:
                raise self._unreachable(problem) from problem

    def _on_thread(self, work: Callable[[], _Result], cancel: CancelToken, limit_s: float | None = None) -> _Result:
        """The result of `work`. Raises what it raises, NetworkProblem after `limit_s`, and Cancelled at once.

        Nothing can interrupt looking up a name or connecting, so a cancel or the limit leaves the thread behind.
        """
        self._check(cancel)
        outcome: list[_Result | BaseException] = []
        done, started = threading.Event(), time.monotonic()

        def run() -> None:
            try:
                outcome.append(work())
            except BaseException as error:
                outcome.append(error)
            done.set()

        threading.Thread(target=run, name="request", daemon=True).start()
        while not done.wait(_WAKE_S):
            self._check(cancel)
            if limit_s is not None and time.monotonic() - started >= limit_s:
                self._disconnect()
                raise NetworkProblem("timeout", f"{self.address} does not answer (waited {limit_s:.0f} s)")
        (got,) = outcome
        if isinstance(got, BaseException):
            self._check(cancel)
            raise got
        return got

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, cancel: CancelToken, read_s: float | None
    ) -> Answer:
        """The response, its body unread. Raises NetworkProblem."""
        headers = {"User-Agent": f"hermes-cli/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        connect_s = _CONNECT_S if read_s is None else min(_CONNECT_S, read_s)

        def remember(opened: socket.socket) -> None:
            self._sockets = [*(one for one in self._sockets if one.fileno() >= 0), opened]
            if cancel.cancelled or self._closed:
                self._disconnect()
                raise Cancelled

        url = self.address.base + path
        return self._http.send(method, url, headers, content, connect_s=connect_s, read_s=read_s, on_connect=remember)

    def _refusal(self, response: Answer) -> HermesError:
        text = b""
        with contextlib.suppress(NetworkProblem):
            text = joined_blocks(response.iter_bytes(), _LARGEST_ERROR_BYTES)
        return refusal(self.address, response.status_code, text, response.headers.get("location"))

    def _unreachable(self, problem: NetworkProblem) -> EndpointError:
        return EndpointError(str(problem), f"check it: hermes doctor --endpoint {self.address}")

    @contextmanager
    def _without_key(self) -> Iterator[None]:
        try:
            yield
        except HermesError as error:
            if self._key and len(self._key) >= _SHORTEST_SECRET:
                error.message = error.message.replace(self._key, "[key]")
                error.args = (error.message,)
            raise

    def _disconnect(self) -> None:
        """End a blocked read or write: the server sees the connection close."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                # Not the method of an SSLSocket, which removes what a read in progress works with.
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def _check(self, cancel: CancelToken) -> None:
        if cancel.cancelled or self._closed:
            raise Cancelled


def _connector(address: Address) -> Connector:
    """How the server is reached: a client with TLS and proxies is imported only for one that is elsewhere."""
    if address.is_local and address.base.startswith("http:"):
        from hermes_cli.network.local import LocalConnector

        return LocalConnector(address.socket_path)
    from hermes_cli.network.client import WebConnector

    return WebConnector()


def _is_busy(response: Answer) -> bool:
    asked = "retry-after" in response.headers or "retry-after-ms" in response.headers
    return response.status_code in _BUSY or (asked and response.status_code in _BUSY_IF_SAID)


def _whole(response: Answer) -> bytes:
    """The body. Raises NetworkProblem, EndpointError."""
    text = joined_blocks(response.iter_bytes(), _LARGEST_JSON_BYTES)
    if len(text) > _LARGEST_JSON_BYTES:
        raise EndpointError(
            f"the server sent more than {_LARGEST_JSON_BYTES >> 20} MiB", "check the address of the endpoint"
        )
    return text


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
