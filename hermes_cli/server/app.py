"""The HTTP interface: thin handlers between requests and the model's host."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hermes_cli import __version__
from hermes_cli.chat.request import GenerationRequest
from hermes_cli.engine.local import LocalBackend
from hermes_cli.errors import HermesError
from hermes_cli.server.answers import Answer, Choice
from hermes_cli.server.guard import Guard, Policy, client_name, error_response, read_json
from hermes_cli.server.host import ModelHost
from hermes_cli.server.protocol.api_error import ApiError, failed, from_error, invalid, too_long
from hermes_cli.server.protocol.fields import ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest
from hermes_cli.server.protocol.frames import ChatChoice, TextChoice, new_head
from hermes_cli.server.protocol.messages import chat_messages
from hermes_cli.server.protocol.openapi import document
from hermes_cli.server.protocol.requests import ParsedRequest, parse_chat, parse_completion, read_body

Handler = Callable[[Request], Awaitable[Response]]
_ABSENT = ("responses", "messages", "embeddings", "infill", "fim/completions", "audio/speech", "files")


class Api:
    """The handlers. `name` is the model's id, `aliases` are other names that clients may ask for."""

    def __init__(self, host: ModelHost, name: str, aliases: tuple[str, ...] = (), any_model: bool = False) -> None:
        self._host, self._name, self._aliases, self._any_model = host, name, aliases, any_model
        self._started = int(time.time())

    async def chat(self, request: Request) -> Response:
        """`/v1/chat/completions`."""
        parsed = parse_chat(read_body(ChatRequest, await read_json(request.scope, request.receive)))
        head = new_head("chat.completion.chunk" if parsed.stream else "chat.completion", self._model(parsed))

        async def prepare() -> list[tuple[GenerationRequest, Choice]]:
            await self._host.opened()
            return [
                (one, ChatChoice(number, parsed.tools, parsed.parallel_calls, parsed.logprobs is not None))
                for number, one in enumerate(parsed.generations)
            ]

        return await Answer(self._host, parsed, head, prepare, client_name(request.scope)).response(request)

    async def completion(self, request: Request) -> Response:
        """`/v1/completions`."""
        body = read_body(CompletionRequest, await read_json(request.scope, request.receive))
        parsed = parse_completion(body)
        special = body.parse_special is not False
        head = new_head("text_completion", self._model(parsed))

        async def prepare() -> list[tuple[GenerationRequest, Choice]]:
            backend = await self._host.opened()
            pairs: list[tuple[GenerationRequest, Choice]] = []
            for number, (one, prompt) in enumerate(zip(parsed.generations, parsed.prompts, strict=True)):
                ids = self._ids(backend, prompt, special=special, bos=body.add_special_tokens is not False)
                pairs.append((replace(one, prompt=ids), await self._text_choice(backend, number, parsed, ids)))
            return pairs

        return await Answer(self._host, parsed, head, prepare, client_name(request.scope)).response(request)

    async def models(self, request: Request) -> Response:
        """`/v1/models` and `/v1/models/{id}`."""
        entry = self._entry()
        wanted = request.path_params.get("id")
        if wanted is None:
            return JSONResponse({"object": "list", "data": [entry]})
        self._check_model(wanted)
        return JSONResponse(entry)

    async def health(self, request: Request) -> Response:
        """`/health`."""
        if self._host.closing:
            raise ApiError(503, "unavailable_error", "the server is shutting down")
        return JSONResponse({"status": "ok"})

    async def tokenize(self, request: Request) -> Response:
        """`/tokenize`, in llama-server's words and in vLLM's."""
        body = read_body(TokenizeRequest, await read_json(request.scope, request.receive))
        if body.messages is not None:
            async with self._host.turns.turn(client_name(request.scope)):
                backend = await self._host.opened()
                ids = backend.prompt_tokens(chat_messages(body.messages))
        else:
            backend = await self._loaded(request)
            ids = self._text_ids(backend, body)
        pieces = [backend.model.piece(id).decode("utf-8", "replace") for id in ids]
        answer: dict[str, Any] = {"tokens": ids, "count": len(ids), "max_model_len": backend.info.context_length}
        if body.with_pieces:
            answer["tokens"] = [{"id": id, "piece": piece} for id, piece in zip(ids, pieces, strict=True)]
        if body.return_token_strs:
            answer["token_strs"] = pieces
        return JSONResponse(answer)

    async def detokenize(self, request: Request) -> Response:
        """`/detokenize`."""
        body = read_body(DetokenizeRequest, await read_json(request.scope, request.receive))
        backend = await self._loaded(request)
        ids = self._ids(backend, tuple(body.tokens), allow_empty=True)
        text = b"".join(backend.model.piece(id) for id in ids).decode("utf-8", "replace")
        return JSONResponse({"content": text, "prompt": text})

    async def tokenizer_info(self, request: Request) -> Response:
        """`/tokenizer_info`: what evaluation harnesses need in place of a tokenizer."""
        model = (await self._loaded(request)).model
        ends = {"eos_token": _piece(model.eos, model.piece), "bos_token": _piece(model.bos, model.piece)}
        return JSONResponse({**ends, "chat_template": model.chat_template() or ""})

    async def props(self, request: Request) -> Response:
        """`/props`, as llama-server's clients read it."""
        backend = await self._loaded(request)
        return JSONResponse(
            {
                "default_generation_settings": {"n_ctx": backend.info.context_length},
                "total_slots": 1,
                "model_alias": self._name,
                "chat_template": backend.model.chat_template() or "",
                "build_info": __version__,
            }
        )

    async def metrics(self, request: Request) -> Response:
        """`/metrics`, in Prometheus's text format."""
        counters, turns = self._host.counters, self._host.turns
        values: dict[str, tuple[str, float]] = {
            "llamacpp:prompt_tokens_total": ("counter", counters.prompt_tokens),
            "llamacpp:prompt_seconds_total": ("counter", counters.prompt_s),
            "llamacpp:tokens_predicted_total": ("counter", counters.completion_tokens),
            "llamacpp:tokens_predicted_seconds_total": ("counter", counters.completion_s),
            "llamacpp:requests_processing": ("gauge", int(turns.busy)),
            "llamacpp:requests_deferred": ("gauge", turns.waiting),
            "hermes:requests_total": ("counter", counters.requests),
            "hermes:failures_total": ("counter", counters.failures),
            "hermes:cached_tokens_total": ("counter", counters.cached_tokens),
            "hermes:model_loaded": ("gauge", int(self._host.backend is not None)),
        }
        lines = [f"# TYPE {name} {kind}\n{name} {value}\n" for name, (kind, value) in values.items()]
        return PlainTextResponse("".join(lines), media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """`/openapi.json`."""
        return JSONResponse(document())

    async def _loaded(self, request: Request) -> LocalBackend:
        return await self._host.loaded(client_name(request.scope))

    async def _text_choice(
        self, backend: LocalBackend, number: int, parsed: ParsedRequest, ids: tuple[int, ...]
    ) -> TextChoice:
        choice = TextChoice(number, parsed.logprobs)
        if parsed.echo:
            pieces = [backend.model.piece(id) for id in ids]
            choice.prefix = b"".join(pieces).decode("utf-8", "replace")
            if parsed.logprobs is not None:
                scored = await self._host.score(ids, max(parsed.logprobs, 1))
                choice.echoed = list(zip(pieces, scored, strict=True))
        return choice

    def _text_ids(self, backend: LocalBackend, body: TokenizeRequest) -> list[int]:
        """The ids of a text, which llama-server calls `content` and vLLM `prompt`. Raises ApiError."""
        if body.content is not None:
            text, bos, special = body.content, bool(body.add_special), bool(body.parse_special)
        elif body.prompt is not None:
            text, bos, special = body.prompt, body.add_special_tokens is not False, body.parse_special is not False
        else:
            raise invalid("content, prompt or messages is missing", "content")
        return list(self._ids(backend, text, special=special, bos=bos, allow_empty=True))

    def _ids(
        self,
        backend: LocalBackend,
        prompt: str | tuple[int, ...],
        *,
        special: bool = True,
        bos: bool = False,
        allow_empty: bool = False,
    ) -> tuple[int, ...]:
        """The token ids of a raw prompt. Raises ApiError."""
        model = backend.model
        if isinstance(prompt, str):
            start = [model.bos] if bos and model.adds_bos and model.bos is not None else []
            ids = (*start, *model.tokenize(prompt, special=special))
        else:
            ids = prompt
            if any(not 0 <= id < model.vocab_size for id in ids):
                raise invalid(f"token ids are from 0 to {model.vocab_size - 1}", "prompt")
        if not ids and not allow_empty:
            raise invalid("the prompt is empty", "prompt")
        if len(ids) > backend.info.context_length and not allow_empty:
            raise too_long(f"the prompt has {len(ids)} tokens", len(ids), backend.info.context_length)
        return ids

    def _model(self, parsed: ParsedRequest) -> str:
        if parsed.model and self._any_model:
            return parsed.model
        if parsed.model:
            self._check_model(parsed.model)
        return self._name

    def _check_model(self, wanted: str) -> None:
        if not self._any_model and wanted not in (self._name, *self._aliases):
            served = ", ".join((self._name, *self._aliases))
            raise ApiError(
                404, "not_found_error", f"there is no model {wanted[:100]!r} here; served: {served}",
                param="model", code="model_not_found",
            )  # fmt: skip

    def _entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"id": self._name, "object": "model", "created": self._started, "owned_by": "hermes"}
        backend = self._host.backend
        if backend:
            length = backend.info.context_length
            meta = {"n_ctx": length, "n_ctx_train": backend.model.trained_context_length}
            entry |= {"max_model_len": length, "root": self._name}
            entry["meta"] = meta | {"size": backend.model.size_bytes, "n_vocab": backend.model.vocab_size}
        return entry


def make_app(api: Api, host: ModelHost, policy: Policy) -> Any:
    """The ASGI application."""

    def both(path: str, handler: Handler, method: str) -> list[Route]:
        run = _guarded(handler, "GET, HEAD" if method == "GET" else method)
        return [Route(prefix + path, run, methods=[method, "OPTIONS"]) for prefix in ("/v1", "")]

    routes = [
        *both("/chat/completions", api.chat, "POST"),
        *both("/completions", api.completion, "POST"),
        *both("/models", api.models, "GET"),
        *both("/models/{id:path}", api.models, "GET"),
        *both("/health", api.health, "GET"),
        *both("/tokenize", api.tokenize, "POST"),
        *both("/detokenize", api.detokenize, "POST"),
        *both("/tokenizer_info", api.tokenizer_info, "GET"),
        *both("/props", api.props, "GET"),
        *both("/metrics", api.metrics, "GET"),
        *both("/openapi.json", api.openapi, "GET"),
        *(route for path in _ABSENT for route in both(f"/{path}", _absent, "POST")),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        task = asyncio.ensure_future(host.unload_when_idle())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    handlers: Any = {HTTPException: _http_error, Exception: _unexpected}
    return Guard(Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers), policy)


def _guarded(handler: Handler, methods: str) -> Handler:
    """The handler with errors as responses; OPTIONS lists the methods."""

    async def run(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(headers={"Allow": f"{methods}, OPTIONS"})
        try:
            return await handler(request)
        except ApiError as error:
            return error_response(error)
        except HermesError as error:
            return error_response(from_error(error))

    return run


async def _absent(request: Request) -> Response:
    raise ApiError(501, "not_supported_error", f"{request.url.path} is not supported")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = "not found" if error.status_code == 404 else str(error.detail)
    kind = "not_found_error" if error.status_code == 404 else "invalid_request_error"
    return error_response(ApiError(error.status_code, kind, message, headers=error.headers))


async def _unexpected(request: Request, error: Exception) -> Response:
    return error_response(failed(f"{type(error).__name__}: this is a bug"))


def _piece(token: int | None, piece: Callable[[int], bytes]) -> str | None:
    return None if token is None else piece(token).decode("utf-8", "replace")
