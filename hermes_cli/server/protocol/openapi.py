"""The OpenAPI description, made from the fields that also validate."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hermes_cli import __version__
from hermes_cli.server.protocol.fields import ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest

_POSTS: dict[str, tuple[type[BaseModel], str]] = {
    "/v1/chat/completions": (ChatRequest, "Answer a chat"),
    "/v1/completions": (CompletionRequest, "Continue a raw prompt, or score it"),
    "/tokenize": (TokenizeRequest, "Token ids of a text or a chat"),
    "/detokenize": (DetokenizeRequest, "The text of token ids"),
}
_GETS = {
    "/v1/models": "The model that is served",
    "/health": "Whether the server runs",
    "/tokenizer_info": "End and begin tokens, and the chat template",
    "/props": "Context length and template, as llama-server reports them",
    "/metrics": "Counters in Prometheus's format",
}
_STATUSES = ("400", "401", "403", "404", "408", "413", "415", "429", "431", "500", "501", "503")


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    models = [(model, "validation") for model, _ in _POSTS.values()]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    error = {"type": "object", "required": ["error"], "properties": {"error": {"type": "object"}}}
    failures = {
        status: {
            "description": "An error object",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status in _STATUSES
    }
    paths: dict[str, Any] = {}
    for path, (model, summary) in _POSTS.items():
        body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
        streamed: dict[str, Any] = {"text/event-stream": {}} if path.startswith("/v1/") else {}
        answer = {
            "description": "The answer",
            "content": {"application/json": {"schema": {"type": "object"}}, **streamed},
        }
        operation = {"summary": summary, "requestBody": {"required": True, "content": body}}
        paths[path] = {"post": operation | {"responses": {"200": answer} | failures}}
    for path, summary in _GETS.items():
        kind = "text/plain" if path == "/metrics" else "application/json"
        answer = {"description": "The answer", "content": {kind: {}}}
        paths[path] = {"get": {"summary": summary, "responses": {"200": answer} | failures}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "hermes serve", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas["$defs"] | {"Error": error}},
    }
