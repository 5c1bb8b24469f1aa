"""Errors as the OpenAI API returns them: an HTTP status and an error object."""

from collections.abc import Mapping
from typing import Any

from hermes_cli.errors import ContextOverflow, HermesError, LoadCancelled, OutOfMemory, UsageError

_LONGEST_MESSAGE = 1500


class ApiError(Exception):
    """An error for the client; `param` names the field of the request that caused it."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.param, self.code = status, kind, param, code
        self.message = message[:_LONGEST_MESSAGE]
        self.headers = dict(headers or {})
        self._more = dict(more or {})

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error | self._more}


def invalid(message: str, param: str | None = None, status: int = 400) -> ApiError:
    """A request that is wrong."""
    return ApiError(status, "invalid_request_error", message, param=param)


def too_long(size: str, prompt_tokens: int | None, context_length: int | None) -> ApiError:
    """A prompt of this `size` that the context cannot hold; clients look for the words and for both numbers."""
    return ApiError(
        400,
        "exceed_context_size_error",
        f"This model's maximum context length is {context_length} tokens: {size}",
        code="context_length_exceeded",
        more={"n_prompt_tokens": prompt_tokens, "n_ctx": context_length},
    )


def from_error(error: HermesError) -> ApiError:
    """An error of the engine for the client."""
    if isinstance(error, ContextOverflow):
        return too_long(error.message, error.prompt_tokens, error.context_length)
    if isinstance(error, UsageError):
        return invalid(error.message)
    if isinstance(error, LoadCancelled | OutOfMemory):
        return unavailable(error.message)
    return failed(error.message)


def failed(message: str) -> ApiError:
    """The server failed, and would fail again."""
    return ApiError(500, "server_error", message, headers={"x-should-retry": "false"})


def unavailable(message: str) -> ApiError:
    """The server cannot answer now, but will later."""
    return ApiError(503, "unavailable_error", message, headers={"Retry-After": "5"})
