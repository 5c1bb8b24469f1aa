"""Access control: hosts, origins, keys, content types and sizes are checked before a request is read."""

import asyncio
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hermes_cli.server.protocol.api_error import ApiError, invalid

LARGEST_BODY_BYTES = 8 << 20
_MOST_HEADERS, _LARGEST_HEADERS_BYTES = 100, 16 << 10
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_OPEN = frozenset(("/health", "/v1/health"))
_SLOWEST_BODY_S = 30.0
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, x-api-key",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed. `keys` is empty where none is needed; `hosts` and `origins` are exact; `*` is any origin."""

    keys: tuple[str, ...] = ()
    hosts: frozenset[str] = LOOPBACK
    origins: frozenset[str] = frozenset()
    any_host: bool = False


class Guard:
    """An ASGI middleware that answers what is not allowed itself, with an error object."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it is allowed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        try:
            _check(self._policy, scope, headers, origin)
        except ApiError as error:
            await error_response(error)(scope, receive, send)
            return
        cors = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} if origin else {}
        if cors and scope["method"] == "OPTIONS":
            await Response(headers=cors | _PREFLIGHT)(scope, receive, send)
            return

        async def with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"]).update(cors)
            await send(message)

        await self._app(scope, receive, with_cors if cors else send)


def error_response(error: ApiError) -> JSONResponse:
    """The response to a request that failed."""
    return JSONResponse(error.body(), error.status, error.headers)


async def read_json(scope: Scope, receive: Receive, slowest_s: float = _SLOWEST_BODY_S) -> Any:
    """The JSON of a request's body. Raises ApiError for what is too large, too slow, cut off or not JSON."""
    headers = Headers(scope=scope)
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise invalid("the content type must be application/json", status=415)
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST_BODY_BYTES:
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


def _check(policy: Policy, scope: Scope, headers: Headers, origin: str | None) -> None:
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if len(scope["headers"]) > _MOST_HEADERS or size > _LARGEST_HEADERS_BYTES:
        raise invalid("too many headers", status=431)
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not (policy.any_host or _host_name(hosts[0]) in policy.hosts):
        raise ApiError(403, "permission_error", "this host name is not allowed (--allow-host)")
    several = len(headers.getlist("origin")) > 1
    if several or (origin is not None and not _origin_allowed(policy, scope, hosts[0], origin)):
        raise ApiError(403, "permission_error", "this origin is not allowed (--allow-origin)")
    if origin is None and headers.get("sec-fetch-site") == "cross-site":
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
    """The client's identity in the queue: its key if there is one, otherwise the peer's address."""
    key = _given_key(Headers(scope=scope))
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


def _has_key(keys: Sequence[str], headers: Headers) -> bool:
    given = _given_key(headers).encode("utf-8", "replace")
    return any([hmac.compare_digest(given, key.encode()) for key in keys])


def _given_key(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
