"""A generation request as the body that a server of a family understands; pure functions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hermes_cli.chat.message import Message
from hermes_cli.chat.request import GenerationRequest
from hermes_cli.chat.sampling import Sampling, bias_pairs
from hermes_cli.formats import chatml
from hermes_cli.formats.json.schema import parts
from hermes_cli.remote import families
from hermes_cli.remote.families import Family
from hermes_cli.remote.probe import Server
from hermes_cli.remote.raw_prompt import CONTROL_TEXT
from hermes_cli.values import dataclass

_ROLES = {"tool": "user"}  # results are text inside <tool_response> tags, and servers refuse a tool role without ids


def raw_body(
    server: Server, model: str, prompt_ids: Sequence[int], request: GenerationRequest, sampling: Sampling, limit: int
) -> dict[str, Any]:
    """The body of `/v1/completions` for a prompt of token ids."""
    family = server.family
    body = _common(family, model, request, sampling, limit) | {"prompt": list(prompt_ids)}
    body |= family.extra.get("raw", {})
    if family is families.VLLM:
        body["stop_token_ids"] = [server.markers[chatml.TURN_END]]
    if request.schema is not None and request.constrained and family.schema:
        named = family.schema == "response_format"
        body[family.schema] = _response_format(request.schema) if named else request.schema
    return body


def chat_body(
    family: Family, model: str, request: GenerationRequest, sampling: Sampling, limit: int | None
) -> dict[str, Any]:
    """The body of `/v1/chat/completions`; control text in the messages is broken up visibly."""
    body = _common(family, model, request, sampling, limit)
    body["messages"] = [_message(message) for message in request.messages]
    body |= family.extra.get("chat", {})
    if request.messages[-1].role == "assistant":
        body |= family.continuing
    if request.schema is not None and request.constrained and family.chat_schema:
        plain = {"type": "json_object", "schema": request.schema}
        body["response_format"] = _response_format(request.schema) if family.chat_schema == "json_schema" else plain
    return body


@dataclass(frozen=True, slots=True)
class ForcedCall:
    """A tool call that an answer has to be: the text before and after the JSON that satisfies `schema`."""

    opening: str
    schema: Mapping[str, Any]
    closing: str


def forced_call(request: GenerationRequest) -> ForcedCall | None:
    """How to force a call if `tool_choice` requires one; None if it does not."""
    if not request.constrained or not request.must_call or request.messages[-1].role == "assistant":
        return None
    allowed = [tool for tool in request.tools if request.tool_choice in ("required", tool.name)]
    if not allowed:
        return None
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.name},
                "arguments": _moved(tool.parameters, f"#/anyOf/{number}/properties/arguments"),
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for number, tool in enumerate(allowed)
    ]
    return ForcedCall("<tool_call>\n", {"anyOf": calls}, "\n</tool_call>")


def _moved(schema: Mapping[str, Any], place: str) -> Any:
    """A copy of a schema whose references hold where it is put: at `place` of another one."""
    copy = json.loads(json.dumps(schema))
    for part in parts(copy):
        if isinstance(part, dict) and str(part.get("$ref")).startswith("#"):
            part["$ref"] = place + part["$ref"][1:]
    return copy


def defused(text: str) -> str:
    """The text with a zero-width space inside every control text, so that it is only text for any server."""
    return CONTROL_TEXT.sub(lambda found: f"{found[0][0]}\u200b{found[0][1:]}", text)


def _common(
    family: Family, model: str, request: GenerationRequest, sampling: Sampling, limit: int | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    given = {name: value for name, value in asdict(sampling).items() if value is not None and name != "logit_bias"}
    if biases := bias_pairs(sampling.logit_bias):
        given["logit_bias"] = {str(token): max(bias, -100) for token, bias in biases}
    body |= {family.sampling[name]: value for name, value in given.items() if name in family.sampling}
    if request.grammar is not None and family.grammar:
        body[family.grammar] = request.grammar
    if limit is not None:
        body["max_tokens"] = limit
    if request.stop:
        body["stop"] = list(request.stop)
    return body


def _message(message: Message) -> dict[str, str]:
    return {"role": _ROLES.get(message.role, message.role), "content": defused(message.content)}


def _response_format(schema: Mapping[str, Any] | bool) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
