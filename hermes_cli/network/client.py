"""HTTP for everything that uses the network: proxies, certificates, time limits, and clear errors.

`open_client` builds a client. What goes wrong is raised as NetworkProblem, also while a body is read. Importing this
takes 0.1 s, so it is imported where a request is made.
"""

import os
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpcore2
import httpx2

from hermes_cli import __version__
from hermes_cli.network.connection import AddressCheck, Deadline, Network, check_behind_proxy
from hermes_cli.network.problem import Exchange, NetworkProblem
from hermes_cli.network.proxies import CERTIFICATE_VARIABLES, Proxy, proxy_for


def open_client(
    *,
    connect_s: float = 10.0,
    read_s: float | None = 30.0,
    deadline: Deadline | None = None,
    check_address: AddressCheck | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx2.Client:
    """A client that honours proxy and certificate variables; it follows no redirects by itself.

    `read_s` limits the silence between two reads, `deadline` everything. `check_address` is called before each
    request with the server's addresses.
    """
    return httpx2.Client(
        transport=_Transport(deadline or Deadline(), check_address),
        timeout=httpx2.Timeout(read_s, connect=connect_s),
        headers={"User-Agent": f"hermes-cli/{__version__}", **(headers or {})},
        trust_env=False,  # the transport reads the variables
    )


_CONNECTED = ("connect_tcp.complete", "start_tls.complete")  # to the server, or to its proxy


class WebConnector:
    """See `Connector`: to any server, with TLS and through proxies."""

    def __init__(self) -> None:
        self._client = open_client(read_s=None)

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
    ) -> httpx2.Response:
        """See `Connector`."""

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event.endswith(_CONNECTED):
                on_connect(info["return_value"].get_extra_info("socket"))

        limits = httpx2.Timeout(read_s, connect=connect_s)
        try:
            request = self._client.build_request(method, url, content=body, headers=headers, timeout=limits)
        except httpx2.InvalidURL as error:
            raise NetworkProblem("address", f"{url} is not a valid address: {error}", "check the address") from error
        request.extensions["trace"] = trace
        return self._client.send(request, stream=True)

    def close(self) -> None:
        """See `Connector`."""
        self._client.close()


def get(
    client: httpx2.Client, url: str, headers: Mapping[str, str], *, redirects: int
) -> tuple[httpx2.Response, list[httpx2.Response]]:
    """Request `url`; the response, whose body is still to be read and closed, and the redirects that led to it.

    A redirect that leads away from the web or from https to http is returned as it is. Raises NetworkProblem.
    """
    hops: list[httpx2.Response] = []
    try:
        request = client.build_request("GET", url, headers=headers)
        while True:
            response = client.send(request, stream=True)
            target = response.next_request
            if target is None or not _is_safe(request.url, target.url):
                return response, hops
            response.close()
            hops.append(response)
            if len(hops) > redirects:
                raise NetworkProblem("address", f"{request.url.host} redirects too often", "check the address")
            request = target
    except httpx2.RemoteProtocolError as error:
        message = f"{request.url.host} redirects to an address that is not safe to follow"
        raise NetworkProblem("address", message) from error
    except (httpx2.InvalidURL, ValueError) as error:
        raise NetworkProblem("address", f"{url} is not a valid address: {error}", "check the address") from error


def _is_safe(source: httpx2.URL, target: httpx2.URL) -> bool:
    if not target.host or (target.port or 1) > 65535:
        return False
    return target.scheme == "https" or (target.scheme == "http" and source.scheme == "http")


class _Transport(httpx2.BaseTransport):
    """Sends each request directly or through its proxy; one pool of connections for each way."""

    def __init__(self, deadline: Deadline, check_address: AddressCheck | None) -> None:
        self._direct, self._to_proxy = Network(deadline, check_address), Network(deadline, None)
        self._check_address = check_address
        self._pools: dict[tuple[Proxy | None, bool], httpcore2.ConnectionPool] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        proxy = proxy_for(str(request.url))
        exchange = Exchange(request.url, proxy)
        if proxy and self._check_address:
            check_behind_proxy(request.url.host, request.url.port or _port(request.url.scheme), self._check_address)
        pool = self._pool(proxy, request.url.scheme == "https")
        core = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = pool.handle_request(core)
        except Exception as error:
            if proxy:
                self._to_proxy.close_latest()
            raise exchange.problem(error) from error
        if proxy and answer.status == 407:
            answer.close()
            raise exchange.problem(httpcore2.ProxyError("407 Proxy Authentication Required"))
        assert isinstance(answer.stream, Iterable)
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, exchange),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def _pool(self, proxy: Proxy | None, is_tls: bool) -> httpcore2.ConnectionPool:
        key = (proxy, is_tls)
        if key not in self._pools:
            context = tls_context() if is_tls else None
            if proxy:
                self._pools[key] = _proxy_pool(proxy, context, self._to_proxy)
            else:
                self._pools[key] = httpcore2.ConnectionPool(ssl_context=context, network_backend=self._direct)
        return self._pools[key]


def _proxy_pool(proxy: Proxy, context: ssl.SSLContext | None, network: Network) -> httpcore2.ConnectionPool:
    """Connections through a proxy. Raises NetworkProblem for one that cannot be used."""
    try:
        url = httpx2.URL(proxy.url)
    except httpx2.InvalidURL as error:
        raise NetworkProblem("proxy", f"{proxy} is not a valid address: {error}", _how_to_name(proxy)) from error
    scheme = {"socks": "socks5"}.get(url.scheme, url.scheme)
    if scheme not in ("http", "https", "socks5", "socks5h") or not url.host:
        raise NetworkProblem("proxy", f"{proxy} is of a kind that is not supported", _how_to_name(proxy))
    place = httpcore2.URL(scheme=scheme.encode(), host=url.raw_host, port=url.port or _port(scheme), target=b"/")
    user = (url.username.encode(), url.password.encode()) if url.username or url.password else None
    if scheme.startswith("socks"):
        return httpcore2.SOCKSProxy(place, proxy_auth=user, ssl_context=context, network_backend=network)
    proxy_context = tls_context() if scheme == "https" else None
    return httpcore2.HTTPProxy(
        place, proxy_auth=user, ssl_context=context, proxy_ssl_context=proxy_context, network_backend=network
    )


def _port(scheme: str) -> int:
    return {"http": 80, "https": 443}.get(scheme, 1080)


def _how_to_name(proxy: Proxy) -> str:
    return f"set {proxy.variable} like http://HOST:PORT or socks5h://HOST:PORT, or unset it"


def tls_context() -> ssl.SSLContext:
    """The certificates to trust: of the variables, else of the system. Raises NetworkProblem."""
    return _tls_context(tuple((name, value) for name in CERTIFICATE_VARIABLES if (value := os.environ.get(name))))


@cache
def _tls_context(named: tuple[tuple[str, str], ...]) -> ssl.SSLContext:
    if not named:
        return httpcore2.default_ssl_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for variable, value in named:
        place = Path(value)
        what = "folder" if variable.endswith("_DIR") else "file"
        hint = f"set {variable} to a {what} of certificates in PEM format, or unset it"
        if not os.path.exists(place):  # noqa: PTH110 - pathlib raises for what may not be looked at
            raise NetworkProblem("certificate", f"{variable} names {value}, which does not exist", hint)
        try:
            context.load_verify_locations(**{"capath" if place.is_dir() else "cafile": value})
        except (OSError, ssl.SSLError) as error:
            why = getattr(error, "strerror", None) if not isinstance(error, ssl.SSLError) else "not certificates"
            raise NetworkProblem("certificate", f"cannot read {variable}, {value}: {why}", hint) from error
    return context


class _Body(httpx2.SyncByteStream):
    """A body, the errors of which are put into words."""

    def __init__(self, stream: Iterable[bytes], exchange: Exchange) -> None:
        self._stream, self._exchange = stream, exchange

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise self._exchange.problem(error) from error

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()
