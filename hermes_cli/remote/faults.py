"""Converts the various error formats of servers into our errors."""

import json
import re
from typing import Any

from hermes_cli.errors import ContextOverflow, EndpointError, HermesError, shortened
from hermes_cli.remote.address import Address

_SHOWN_CHARACTERS = 300
_OVERFLOW = re.compile(r"context[ _](length|size|window)|exceed_context|maximum context|too many tokens", re.IGNORECASE)
_NAMED_FIELD = re.compile(r"[\"'`]([a-z_]{3,40})[\"'`]")


class FieldRefused(EndpointError):
    """A 400 that names one field of the request; `field` may be left out and the request sent again."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message, "see docs/endpoints.md")
        self.field = field


def error_text(value: Any) -> str | None:
    """The message of an error object, None if the JSON value is not an error.

    Known shapes: `{"error": {"message": ...}}`, `{"error": "..."}`, `{"detail": ...}`, `{"object": "error", ...}`.
    """
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if isinstance(error, dict) and error:
        return str(error.get("message") or error)
    if isinstance(error, str) and error:
        return error
    if value.get("object") == "error":
        return str(value.get("message") or value)
    detail = value.get("detail")
    if detail and "choices" not in value:
        if isinstance(detail, list):
            return "; ".join(_detail(one) for one in detail)
        return str(detail)
    return None


def refusal(address: Address, status: int, body: bytes, location: str | None = None) -> HermesError:
    """The error for an answer that is not 200; `location` is where a redirect leads, which is never followed."""
    if 300 <= status < 400 and location:
        return EndpointError(
            f"{address} redirects to {_short(location)}; redirects are not followed",
            "if you trust that address, use it as the endpoint",
        )
    text = body.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    message = _short(error_text(value) or text or "no reason given")
    if status in (401, 403):
        refused = "the key" if status == 401 else "access"
        return EndpointError(
            f"{address} refused {refused} ({status}): {message}",
            f"set HERMES_CLI_API_KEY and give --endpoint {address}, or set api_key_env of a named endpoint",
        )
    if status in (400, 413) and _OVERFLOW.search(f"{message} {text[:2000]}"):
        return overflow(message)
    if status == 404:
        return EndpointError(
            f"{address} has no such model or path: {message}", f"see: hermes models --endpoint {address}"
        )
    if status in (400, 422) and (field := _refused_field(value, message)):
        return FieldRefused(f"{address} refused the field {field}: {message}", field)
    return EndpointError(f"{address} answered {status}: {message}", "the server's log may say why")


def overflow(message: str) -> ContextOverflow:
    """The error for a prompt that is longer than the server's context."""
    return ContextOverflow(f"the prompt does not fit: {_short(message)}", "shorten it, or start a new session")


def failure(address: Address, value: Any) -> HermesError | None:
    """The error that an event or an answer with status 200 carries; None if it carries none."""
    message = error_text(value)
    if message is None:
        return None
    if _OVERFLOW.search(message):
        return overflow(message)
    return EndpointError(f"{address} failed: {_short(message)}", "the server's log may say why")


def _refused_field(value: Any, message: str) -> str | None:
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict) and isinstance(error.get("param"), str):
        return error["param"].split(".")[0] or None
    detail = value.get("detail") if isinstance(value, dict) else None
    if isinstance(detail, list) and detail and (place := _place(detail[0])):
        return place[-1]
    found = _NAMED_FIELD.search(message)
    return found[1] if found else None


def _detail(one: Any) -> str:
    if isinstance(one, dict) and "msg" in one:
        place = ".".join(_place(one))
        return f"{place}: {one['msg']}" if place else str(one["msg"])
    return str(one)


def _place(one: Any) -> list[str]:
    """The field of a validation error, and what it is in."""
    steps = one.get("loc") if isinstance(one, dict) else None
    return list(map(str, steps)) if isinstance(steps, list) else []


def _short(message: str) -> str:
    return shortened(" ".join(message.split()), _SHOWN_CHARACTERS)
