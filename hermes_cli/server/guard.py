"""Who may talk to the server: hosts, origins, keys, content types and sizes, checked before a request is read."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hermes_cli.server.protocol.api_error import ApiError, invalid

LARGEST_BODY_BYTES = 8 << 20
_MOST_HEADERS, _LARGEST_HEADERS_BYTES = 100, 16 << 10
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_OPEN = frozenset(("/health", "/v1/health"))
_SLOWEST_BODY_S = 30.0
_METHODS = "GET, POST, HEAD, OPTIONS"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed. `keys` is empty where none is needed; `hosts` and `origins` are exact; `*` is any origin."""

    keys: tuple[str, ...] = ()
    hosts: frozenset[str] = LOOPBACK
    origins: frozenset[str] = frozenset()
    any_host: bool = False


class Guard:
    """An ASGI middleware that answers what is not allowed itself, with an error object."""

    def __init__(self, app: App, policy: Policy) -> None:
        self._app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it is allowed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        origin = _single(headers, "origin")
        try:
            _check(self._policy, scope, headers, origin)
        except ApiError as error:
            await _answer(send, error.status, error.body(), error.headers)
            return
        cors = [(b"access-control-allow-origin", origin.encode()), (b"vary", b"Origin")] if origin else []
        if cors and scope["method"] == "OPTIONS":
            await _preflight(send, cors)
            return

        async def with_cors(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *cors]
            await send(message)

        await self._app(scope, receive, with_cors if cors else send)


async def read_json(scope: Scope, receive: Receive, slowest_s: float = _SLOWEST_BODY_S) -> Any:
    """The JSON of a request's body. Raises ApiError for what is too large, too slow, cut off or not JSON."""
    headers = _headers(scope)
    kind = (_single(headers, "content-type") or "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise invalid("the content type must be application/json", status=415)
    length = _single(headers, "content-length")
    if length is not None and length.isdigit() and int(length) > LARGEST_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(slowest_s):
            body = await _read_body(receive)
    except TimeoutError:
        raise invalid(f"the body did not arrive within {slowest_s:g} seconds", status=408) from None
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise invalid("the body is not valid JSON") from None


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise invalid("the request was cut off")
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _too_large() -> ApiError:
    return invalid(f"the body is larger than {LARGEST_BODY_BYTES >> 20} MiB", status=413)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _check(policy: Policy, scope: Scope, headers: dict[str, list[str]], origin: str | None) -> None:
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if len(scope["headers"]) > _MOST_HEADERS or size > _LARGEST_HEADERS_BYTES:
        raise invalid("too many headers", status=431)
    hosts = headers.get("host", [])
    if len(hosts) != 1 or not (policy.any_host or _host_name(hosts[0]) in policy.hosts):
        raise ApiError(403, "permission_error", "this host name is not allowed (--allow-host)")
    several = len(headers.get("origin", ())) > 1
    if several or (origin is not None and not _origin_allowed(policy, scope, hosts[0], origin)):
        raise ApiError(403, "permission_error", "this origin is not allowed (--allow-origin)")
    if origin is None and _single(headers, "sec-fetch-site") == "cross-site":
        raise ApiError(403, "permission_error", "cross-site requests are not allowed (--allow-origin)")
    if scope["method"] == "OPTIONS":
        return
    if policy.keys and scope["path"] not in _OPEN and not _has_key(policy.keys, headers):
        raise ApiError(
            401,
            "authentication_error",
            "the API key is missing or wrong",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )


def client_name(scope: Scope) -> str:
    """Who asks, for fairness: the key if there is one, else the peer's address."""
    key = _given_key(_headers(scope))
    return f"key {key}" if key else str((scope.get("client") or ("local",))[0])


def _origin_allowed(policy: Policy, scope: Scope, host: str, origin: str) -> bool:
    if origin in policy.origins or ("*" in policy.origins and policy.keys and origin != "null"):
        return True
    return origin == f"{scope.get('scheme', 'http')}://{host}"


def _host_name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _has_key(keys: Sequence[str], headers: dict[str, list[str]]) -> bool:
    given = _given_key(headers).encode("utf-8", "replace")
    return any([hmac.compare_digest(given, key.encode()) for key in keys])


def _given_key(headers: dict[str, list[str]]) -> str:
    scheme, _, token = (_single(headers, "authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else _single(headers, "x-api-key") or ""


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _single(headers: dict[str, list[str]], name: str) -> str | None:
    values = headers.get(name)
    return values[0] if values else None


async def _preflight(send: Send, cors: list[tuple[bytes, bytes]]) -> None:
    more = [
        (b"access-control-allow-methods", _METHODS.encode()),
        (b"access-control-allow-headers", b"authorization, content-type, x-api-key"),
        (b"access-control-max-age", b"600"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": [*cors, *more, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, status: int, value: Any, headers: dict[str, str]) -> None:
    body = json.dumps(value).encode()
    named = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *named]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
