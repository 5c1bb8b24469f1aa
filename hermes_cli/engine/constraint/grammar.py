"""What a request allows the model to write, as grammars for llguidance: JSON by a schema, calls of tools."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hermes_cli.chat.request import GenerationRequest, ToolSchema
from hermes_cli.engine.constraint import trial as constraint_trial
from hermes_cli.engine.constraint.schema import ReadySchema, ready
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.formats.json.schema import Schema
from hermes_cli.formats.tags import CALL_END, CALL_START, PAD_END, PAD_START

# As json.dumps writes, which is what the models were trained on. Flexible whitespace lets a model write it for ever.
# Without \u a key cannot be spelled in two ways, nor can half a character be written.
_STYLE = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
    "json_allowed_escapes": 'nrbtf\\"',
}
_ANY_OBJECT = ReadySchema(json.dumps({"type": "object", "x-guidance": _STYLE}), risky=False)
KeepOn = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Plan:
    """Grammars of one request. `whole` holds for all of the answer; else text is free until a call opens.

    `call` is what follows `<tool_call>`, None where no call may open; `opening` is what the answer must begin with.
    `begun` is the part of the answer that is there already. `notes` say in plain words what is not held.
    """

    whole: str | None = None
    call: str | None = None
    opening: str | None = None
    begun: str = ""
    notes: tuple[str, ...] = ()


def plan(request: GenerationRequest, keep_on: KeepOn = lambda: True) -> Plan | None:
    """What `request` may be answered with; None where everything may. Raises UsageError, EngineError.

    Needs no model. A schema that might take the compiler long or down is tried in a child process, for seconds at most.
    """
    if not request.constrained or (request.schema is None and not request.tools):
        if request.tool_choice not in ("auto", "none") and not request.tools:
            raise UsageError(f"--tool-choice {request.tool_choice} needs tools", "give some with --tools")
        return None
    constraint_trial.check_library()
    tools = _chosen(request.tools, request.tool_choice)
    must_call = request.tool_choice not in ("auto", "none")
    held = [_arguments(tool, keep_on) for tool in tools]
    rules = _call_rules(tools, [schema for schema, _ in held])
    notes = tuple(note for _, said in held for note in said)
    begun = request.messages[-1].content if request.messages and request.messages[-1].role == "assistant" else ""
    if request.schema is not None and not must_call:
        text, said = _held_schema(request.schema, keep_on)
        return Plan(whole=_whole(text, rules), begun=begun, notes=(*notes, *said))
    if not tools:
        return Plan(begun=begun)
    call = f"start: call_body AFTER?\n{rules}"
    if reason := _call_fault(call):
        raise UsageError(f"the tools cannot be held to their schemas: {reason}", "offer fewer, or use --no-constrain")
    system = "".join(message.content for message in request.messages if message.role == "system")
    opening = _opening(rules, pad=PAD_START in system) if must_call else None
    return Plan(call=call, opening=opening, begun=begun, notes=notes)


def _held_schema(schema: Schema, keep_on: KeepOn) -> tuple[str, tuple[str, ...]]:
    """`schema` as the compiler takes it, and notes on what it leaves out. Raises UsageError."""
    strict = ready(schema, separators=_STYLE)
    text, reasons = _usable(strict, keep_on)
    if text is None:
        raise UsageError(f"the schema cannot be used: {reasons[-1]}", "change it, or answer freely with --no-constrain")
    return text, tuple(f"not held while writing, only checked afterwards: {reason}" for reason in reasons)


def _arguments(tool: ToolSchema, keep_on: KeepOn) -> tuple[ReadySchema, tuple[str, ...]]:
    """The schema of a tool's arguments as far as it can be held, and notes; in the worst case any object may come."""
    try:
        strict = ready({"type": "object", **tool.parameters}, separators=_STYLE, closed=True)
        text, reasons = _usable(strict, keep_on)
    except UsageError as problem:
        text, reasons = None, (problem.message,)
    notes = tuple(f"arguments of {tool.name} are only checked afterwards: {reason}" for reason in reasons[-1:])
    return _ANY_OBJECT if text is None else ReadySchema(text, risky=False), notes


def _usable(strict: ReadySchema, keep_on: KeepOn) -> tuple[str | None, tuple[str, ...]]:
    """The strict form of a schema, else the lenient one, else None; and why each one before it was refused."""
    whole = json.loads(strict.text)
    lenient = json.dumps({**whole, "x-guidance": {**whole["x-guidance"], "lenient": True}})
    texts = (strict.text, lenient)
    if texts not in _tried:
        grammars = [_start(text) for text in texts]
        trial = constraint_trial.first_usable_in_child if strict.risky else constraint_trial.first_usable
        reasons = tuple(trial(grammars, keep_on))
        if not keep_on():
            return None, reasons
        _tried[texts] = reasons
        if len(_tried) > _MOST_TRIED:
            del _tried[next(iter(_tried))]
    reasons = _tried[texts]
    return (texts[len(reasons)] if len(reasons) < len(texts) else None), reasons


_MOST_TRIED = 64
_tried: dict[tuple[str, str], tuple[str, ...]] = {}


def _start(schema: str) -> str:
    return f"start: %json {schema}\n"


def _chosen(tools: Sequence[ToolSchema], choice: str) -> list[ToolSchema]:
    """The tools that may be called. Raises UsageError for a name that none has."""
    if choice == "none":
        return []
    named = [tool for tool in tools if choice in ("auto", "required", tool.name)]
    if not named and choice != "auto":
        raise UsageError(
            f"no tool is named {choice}", did_you_mean(choice, [tool.name for tool in tools], "see --tools")
        )
    return named


@lru_cache(maxsize=8)
def _call_fault(grammar: str) -> str | None:
    """Why the tools together are too much, where each alone is not."""
    return constraint_trial.fault(grammar)


def _call_rules(tools: Sequence[ToolSchema], schemas: Sequence[ReadySchema]) -> str:
    """Rules for the inside of a call up to its closing tag: one line each, in both orders of the keys.

    Models write the name first, as their template says, or the arguments, as the model card shows.
    """
    if not tools:
        return ""
    lines = [f'call_body: "\\n{{" call "}}\\n{CALL_END}"']
    lines.append("call: " + " | ".join(f"named_{index} | given_{index}" for index in range(len(tools))))
    for index, (tool, schema) in enumerate(zip(tools, schemas, strict=True)):
        name, arguments = f'"name": {json.dumps(tool.name, ensure_ascii=False)}', '"arguments": '
        lines.append(f"named_{index}: {_quoted(f'{name}, {arguments}')} arguments_{index}")
        lines.append(f"given_{index}: {_quoted(arguments)} arguments_{index} {_quoted(f', {name}')}")
        lines.append(f"arguments_{index}: %json {schema.text}")
    # A token may hold the end of the tag and what follows, as `>` and a newline do between two calls.
    lines.append(r"AFTER: /[ \t\r\n]+/")
    return "\n".join(lines) + "\n"


def _whole(schema: str, rules: str) -> str:
    """An answer that is JSON, or where there are tools one or more calls."""
    if not rules:
        return _start(schema)
    calls = f'calls: "{CALL_START}" call_body ("\\n{CALL_START}" call_body)*'
    return f"start: answer | calls\nanswer: %json {schema}\n{calls}\n{rules}"


def _opening(rules: str, *, pad: bool) -> str:
    """A call from its opening tag on; with `pad` thoughts in a scratch pad may come first."""
    if not pad:
        return f'start: "{CALL_START}" call_body AFTER?\n{rules}'
    thoughts = f"thoughts[lazy]: /{PAD_START}(.|\\n)*{PAD_END}[ \\n]*{CALL_START}/".replace("</", "<\\/")
    return f'start: (thoughts | "{CALL_START}") call_body AFTER?\n{thoughts}\n{rules}'


def _quoted(text: str) -> str:
    """A string literal of the grammar."""
    return json.dumps(text, ensure_ascii=False)
