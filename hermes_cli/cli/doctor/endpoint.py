"""`hermes doctor --endpoint`: whether a server can be used, and how well."""

import time
from typing import Any

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.tool_call import ToolCall, ToolSchema
from hermes_cli.errors import HermesError
from hermes_cli.formats.tool_call_parser import ToolCallParser
from hermes_cli.remote.backend import RemoteBackend
from hermes_cli.session.choices import Choices
from hermes_cli.session.session import as_read
from hermes_cli.session.target.find import find_target
from hermes_cli.session.target.remote import RemoteTarget
from hermes_cli.store.settings.settings import Settings

Facts = dict[str, Any]
_QUESTION = "What is 2 plus 3? Answer with the number."
_SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["sum"],
    "additionalProperties": False,
}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 99}
_TOOL = ToolSchema(
    "add",
    "Add two numbers.",
    {
        "type": "object",
        "properties": {"a": _NUMBER, "b": _NUMBER},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
)


def endpoint_report(endpoint: str, model: str | None, settings: Settings) -> Facts:
    """Facts about a server: how it is used, what it answers, and how fast. `problem` says what is wrong."""
    facts: Facts = {"endpoint": endpoint, "healthy": False}
    try:
        target = find_target(Choices(model=model, endpoint=endpoint), settings.endpoints, settings.models)
        if not isinstance(target, RemoteTarget):
            raise HermesError(f"{endpoint} is not a server", "give a URL such as http://localhost:8000")
        facts["address"], facts["key"] = str(target.address), "sent" if target.key else "none"
        backend = target.open(CancelToken(), lambda _: None)
    except HermesError as problem:
        return facts | {"problem": problem.message, "hint": problem.hint}
    assert isinstance(backend, RemoteBackend)
    try:
        return facts | _answers(backend)
    finally:
        backend.close()


def _answers(backend: RemoteBackend) -> Facts:
    info = backend.info
    facts: Facts = {
        "model": info.model_name,
        "server": info.description,
        "context_length": info.context_length,
        "token_counts": "exact" if info.exact_token_counts else "estimated",
        "control_text": "kept as text" if info.keeps_control_text else "broken up visibly",
        "notes": list(info.notes),
    }
    try:
        first_s, text = _ask(backend)
        facts |= {"first_token_s": round(first_s, 3), "answer": text}
        facts |= {"schema": _schema(backend), "tools": _tools(backend)}
    except HermesError as problem:
        return facts | {"healthy": False, "problem": problem.message, "hint": problem.hint}
    return facts | {"healthy": True}


def _ask(backend: RemoteBackend, **options: Any) -> tuple[float, str]:
    """Seconds to the first text, and the text."""
    messages = (*as_read(Conversation(), options.get("tools", ()), None).messages, Message("user", _QUESTION))
    request = GenerationRequest(messages, Sampling(temperature=0), 64, **options)
    started, first_s, text = time.perf_counter(), 0.0, ""
    for event in backend.generate(request, CancelToken()):
        if isinstance(event, TextDelta | Finished) and not first_s:
            first_s = time.perf_counter() - started
        if isinstance(event, TextDelta):
            text += event.text
    return first_s, text


def _schema(backend: RemoteBackend) -> str:
    """Whether the server enforces a schema."""
    from hermes_cli.session.turn_loop import schema_faults

    _, text = _ask(backend, schema=_SCHEMA)
    return "enforced" if not schema_faults(_SCHEMA, text) else "not enforced: answers are only checked"


def _tools(backend: RemoteBackend) -> str:
    """Whether the model calls a tool when asked to."""
    _, text = _ask(backend, tools=(_TOOL,), tool_choice="required")
    parser = ToolCallParser()
    calls = [event for event in (*parser.feed(text), *parser.finish()) if isinstance(event, ToolCall)]
    return "called" if [call.name for call in calls] == [_TOOL.name] else "not called"
