"""Requests of the API as generation requests; pure functions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hermes_cli.chat.message import Message
from hermes_cli.chat.request import GenerationRequest
from hermes_cli.chat.sampling import SAMPLING_KEYS, Sampling
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.errors import UsageError
from hermes_cli.formats.function_calling import system_text
from hermes_cli.formats.json.mode import schema_prompt
from hermes_cli.server.protocol.api_error import invalid
from hermes_cli.server.protocol.fields import IGNORED, REFUSED, ChatRequest, CompletionRequest, Tool
from hermes_cli.server.protocol.messages import chat_messages

_MOST_STOPS, _LONGEST_STOP = 16, 256
_LARGEST_SCHEMA_CHARACTERS = 64 << 10
_Body = TypeVar("_Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A valid request: the generations to run, and how to send their output."""

    generations: tuple[GenerationRequest, ...]  # one for each choice
    choices: int = 1  # for each prompt
    model: str | None = None
    stream: bool = False
    include_usage: bool = False
    progress: bool = False
    tools: bool = False
    parallel_calls: bool = True
    logprobs: int | None = None
    echo: bool = False
    ignored: tuple[str, ...] = ()
    prompts: tuple[str | tuple[int, ...], ...] = field(default=())  # of raw completions, one for each choice


def read_body(kind: type[_Body], value: Any) -> _Body:
    """The body as `kind`. Raises ApiError that names the field."""
    if not isinstance(value, dict):
        raise invalid("the body must be a JSON object")
    for name in REFUSED & value.keys():
        if value[name]:
            raise invalid(f"{name} is not supported", name)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise invalid(f"{place}: {first['msg']}", place) from None
    except RecursionError:
        raise invalid("the body is nested too deeply") from None


def parse_chat(body: ChatRequest) -> ParsedRequest:
    """The generations of a chat request. Raises ApiError."""
    if body.top_logprobs and not body.logprobs:
        raise invalid("top_logprobs needs logprobs", "top_logprobs")
    if body.continue_final_message and body.add_generation_prompt:
        raise invalid("add_generation_prompt begins another answer: set it to false", "continue_final_message")
    tools = tuple(_tool_schema(tool) for tool in body.tools or ())
    choice = _tool_choice(body.tool_choice, tools)
    schema = _schema(body)
    offered = tools if choice != "none" else ()
    request = GenerationRequest(
        messages=_messages(body, offered, schema),
        max_tokens=body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens,
        tools=offered,
        tool_choice=choice,
        schema=schema,
        grammar=_grammar(body, schema, tools),
        top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
    )
    return replace(_parsed(body, request), parallel_calls=body.parallel_tool_calls is not False)


def parse_completion(body: CompletionRequest) -> ParsedRequest:
    """The generations of a raw completion; its prompts are still text or ids. Raises ApiError."""
    if body.best_of and body.best_of > (body.n or 1):
        raise invalid("best_of greater than n is not supported", "best_of")
    prompts, schema = _prompts(body.prompt), _schema(body)
    request = GenerationRequest(
        messages=(),
        max_tokens=16 if body.max_tokens is None else body.max_tokens,
        schema=schema,
        grammar=_grammar(body, schema),
        top_logprobs=body.logprobs,
    )
    parsed = _parsed(body, request)
    return replace(
        parsed,
        echo=bool(body.echo),
        generations=parsed.generations * len(prompts),
        prompts=tuple(prompt for prompt in prompts for _ in parsed.generations),
    )


def _parsed(body: ChatRequest | CompletionRequest, request: GenerationRequest) -> ParsedRequest:
    """What chats and raw completions share."""
    options = body.stream_options
    if options is not None and not body.stream:
        raise invalid("stream_options needs stream", "stream_options")
    request = replace(request, sampling=_sampling(body), stop=_stops(body.stop), logit_bias=_logit_bias(body))
    return ParsedRequest(
        generations=_choices(request, body.n or 1),
        choices=body.n or 1,
        model=body.model,
        stream=bool(body.stream),
        include_usage=bool(options and options.include_usage),
        progress=bool(body.return_progress),
        tools=bool(request.tools),
        logprobs=request.top_logprobs,
        ignored=_ignored(body),
    )


def _messages(body: ChatRequest, tools: Sequence[ToolSchema], schema: Any) -> tuple[Message, ...]:
    messages = chat_messages(body.messages)
    system = messages[0].content if messages[0].role == "system" else ""
    rest = messages[1:] if messages[0].role == "system" else messages
    given = system_text(tools, system) or system
    if schema is not None and schema is not True:
        given = "\n\n".join(filter(None, (schema_prompt(schema), given)))
    opening = (Message("system", given, tools=tuple(tools)),) if given or messages[0].role == "system" else ()
    if rest and rest[-1].role == "assistant" and not body.continue_final_message:
        rest = (*rest, Message("assistant", ""))  # a finished answer: the model begins another one
    return (*opening, *rest)


def _choices(request: GenerationRequest, count: int) -> tuple[GenerationRequest, ...]:
    if count == 1 or request.sampling.seed is None:
        return (request,) * count
    seeds = ((request.sampling.seed + number) % 2**32 for number in range(count))
    return tuple(replace(request, sampling=replace(request.sampling, seed=seed)) for seed in seeds)


def _sampling(body: ChatRequest | CompletionRequest) -> Sampling:
    """The values of the sampling; the fields of servers and clients elsewhere differ in a few."""
    values = {name: getattr(body, name) for name in SAMPLING_KEYS if name != "logit_bias"}
    if body.repetition_penalty is not None:
        values["repeat_penalty"] = body.repetition_penalty
    if body.top_k == -1:
        values["top_k"] = 0
    if body.seed is not None:
        values["seed"] = None if body.seed == -1 else body.seed % 2**32
    return Sampling(**values)


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > _MOST_STOPS:
        raise invalid(f"at most {_MOST_STOPS} stop strings", "stop")
    if any(not 1 <= len(text.encode("utf-8", "replace")) <= _LONGEST_STOP for text in stops):
        raise invalid(f"a stop string has 1 to {_LONGEST_STOP} bytes", "stop")
    return stops


def _logit_bias(body: ChatRequest | CompletionRequest) -> tuple[tuple[int, float], ...]:
    pairs = []
    for token, bias in (body.logit_bias or {}).items():
        if not token.isascii() or not token.isdigit() or len(token) > 9:
            raise invalid("keys are token ids", "logit_bias")
        value = float("-inf") if bias is False else float(bias)
        if bias is not False and not -100 <= value <= 100:
            raise invalid("values are from -100 to 100", "logit_bias")
        pairs.append((int(token), float("-inf") if value == -100 else value))
    return tuple(pairs)


def _schema(body: ChatRequest | CompletionRequest) -> Any:
    """The JSON Schema to answer in, True for any JSON object, None for text."""
    given = body.json_schema if body.json_schema is not None else body.guided_json
    form = body.response_format or {}
    kind = form.get("type", "text")
    if kind == "json_object":
        given = form.get("schema") or {"type": "object"}
    elif kind == "json_schema":
        named = form.get("json_schema")
        given = named.get("schema") if isinstance(named, dict) else None
        if given is None:
            raise invalid("json_schema needs a schema", "response_format.json_schema.schema")
    elif kind != "text":
        raise invalid("type is text, json_object or json_schema", "response_format.type")
    if given is not None and not isinstance(given, dict | bool):
        raise invalid("the schema must be an object", "response_format")
    if len(json.dumps(given)) > _LARGEST_SCHEMA_CHARACTERS:
        raise invalid("the schema is too large", "response_format")
    if isinstance(given, dict):
        _check_schema(given)
    return given


def _grammar(body: ChatRequest | CompletionRequest, schema: Any, tools: Sequence[ToolSchema] = ()) -> str | None:
    """The GBNF grammar of the answer. Raises ApiError for an invalid one, or one with a schema or tools."""
    grammar: str | None = body.grammar
    if grammar is None:
        return None
    if schema is not None or tools:
        raise invalid("a grammar cannot be combined with tools or a schema", "grammar")
    from hermes_cli.engine.constraint.gbnf import from_gbnf

    try:
        from_gbnf(grammar)
    except UsageError as error:
        raise invalid(error.message, "grammar") from error
    return grammar


def _check_schema(schema: dict[str, Any]) -> None:
    from hermes_cli.formats.json.check import checked

    try:
        checked(schema)
    except UsageError as error:
        raise invalid(error.message, "response_format") from error


def _tool_schema(tool: Tool) -> ToolSchema:
    function = tool.function
    return ToolSchema(function.name, function.description or "", function.parameters or {"type": "object"})


def _tool_choice(choice: str | dict[str, Any] | None, tools: Sequence[ToolSchema]) -> str:
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else choice.get("name")
        if name not in [tool.name for tool in tools]:
            raise invalid("tool_choice names none of the tools", "tool_choice")
        return str(name)
    if choice not in (None, "auto", "none", "required"):
        raise invalid("tool_choice is auto, none, required or a function", "tool_choice")
    if choice == "required" and not tools:
        raise invalid("tool_choice needs tools", "tool_choice")
    return choice or "auto"


def _prompts(prompt: str | list[int] | list[str] | list[list[int]]) -> list[str | tuple[int, ...]]:
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise invalid("the prompt is empty", "prompt")
    if isinstance(prompt[0], int):
        return [tuple(id for id in prompt if isinstance(id, int))]
    if len(prompt) > 256:
        raise invalid("at most 256 prompts in one request", "prompt")
    return [one if isinstance(one, str) else tuple(one) for one in prompt if not isinstance(one, int)]


def _ignored(body: ChatRequest | CompletionRequest) -> tuple[str, ...]:
    given = {name for name in body.model_fields_set if getattr(body, name, None) is not None}
    unknown = {name for name, value in (body.model_extra or {}).items() if value is not None}
    options = (body.stream_options and body.stream_options.model_extra) or {}
    return tuple(
        sorted(unknown | given & IGNORED | {f"stream_options.{name}" for name, value in options.items() if value})
    )
