"""Conversations with tools: calls, results, errors, declined calls, chains, and questions that need no tool."""

# ruff: noqa: E501 (tables of phrases stay on long lines)

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from demo_model.conversation import Conversation
from demo_model.dialogues import task
from demo_model.exchanges import courtesy
from demo_model.long_results import returned, wide
from demo_model.source import Source
from demo_model.tool_chat import ask, calls_text, new_call, offer, opened, requested, respond
from demo_model.tool_results import final_answer, result, stated
from demo_model.tools import Call, Json, call, shown, tool, value_for
from demo_model.turns import Chat, identity
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import ToolSchema
from hermes_cli.formats import function_calling

_SCRATCH_PAD = Path(__file__).with_name("scratch_pad.txt").read_text(encoding="utf-8")
_DECLINED = ("The user declined this call.", "Declined by the user.", "The user declined to run this tool.", "declined", "Error: the user declined this call", "The call was declined by the user.", "User declined.", "Not run: the user declined.", "The user did not allow this call.")  # fmt: skip
_FAILURES = ("not found", "timed out", "timeout after 30 s", "permission denied", "no such file or directory", "connection refused", "unknown {w}", "{w} is not available", "{w} not found", "internal error", "could not {w} the {w}", "the {w} does not exist")  # fmt: skip


def tool_call(source: Source) -> Conversation:
    """A request and its call or calls, where the conversation ends."""
    calls, request = requested(source)
    chat, announced = opened(source, calls)
    ask(chat, calls, request, announced=announced)
    return chat.conversation()


def tool_result(source: Source) -> Conversation:
    """Request, call, result, final answer, and perhaps another round or a word of thanks."""
    calls, request = requested(source)
    chat, announced = opened(source, calls)
    ask(chat, calls, request, announced=announced)
    contents = [result(source) for _ in calls]
    respond(chat, calls, contents, final_answer(calls, contents))
    if source.chance(0.2):
        chat.say(*(courtesy(source) if source.chance(0.5) else task(source)))
    if source.chance(0.2):
        more = call(source, calls[0].tool)
        ask(chat, [more], more.request, announced=announced)
        if source.chance(0.6):
            content = result(source)
            respond(chat, [more], [content], stated(content))
    return chat.conversation()


def long_result(source: Source) -> Conversation:
    """Request, call, and an object of many fields, which the description of the tool may list."""
    one, content = new_call(source), wide(source)
    if source.chance(0.4):
        returns = {"type": "object", "description": returned(source, list(content))}
        one = replace(one, tool={**one.tool, "return": returns})
    chat, announced = opened(source, [one])
    ask(chat, [one], one.request, announced=announced)
    respond(chat, [one], [content], stated(content))
    if source.chance(0.15):
        chat.say(*courtesy(source))
    return chat.conversation()


def _failure(source: Source) -> tuple[str, object]:
    text = "".join(
        source.word() if part == "w" else part
        for part in source.pick(_FAILURES).replace("{", "\0").replace("}", "\0").split("\0")
    )
    return text, source.pick(
        (f"Error: {text}", {"error": text}, f"error: {text}", f"Error: {text}", {"error": text, "ok": False})
    )


def tool_failure(source: Source) -> Conversation:
    """A call that failed, or that the user declined: the answer says so."""
    one = new_call(source)
    chat, announced = opened(source, [one])
    ask(chat, [one], one.request, announced=announced)
    if source.chance(0.5):
        text = source.pick(_DECLINED)
        respond(
            chat,
            [one],
            [text if source.chance(0.75) else {"error": text}],
            f"I did not run {one.name}, because you declined it.",
        )
    else:
        text, content = _failure(source)
        respond(chat, [one], [content], f"{one.name} failed: {text}.")
    if source.chance(0.15):
        chat.say(*courtesy(source))
    return chat.conversation()


def _damaged(source: Source, one: Call) -> tuple[Json, str] | None:
    """Wrong arguments for the same call, and what a validator says about them."""
    key = source.pick(list(one.arguments))
    spec = one.tool["parameters"]["properties"][key]
    wrong = dict(one.arguments)
    if source.chance(0.35) and key in one.tool["parameters"].get("required", []):
        del wrong[key]
        return wrong, source.pick(
            (
                f"missing required argument '{key}'",
                f"'{key}' is a required property",
                f"Missing required arguments: ['{key}']",
                f"{key}: missing",
                f"argument {key} is required",
            )
        )
    if "enum" in spec:
        wrong[key] = source.word()
        return wrong, source.pick(
            (f"'{key}' must be one of {', '.join(spec['enum'])}", f"{key}: '{wrong[key]}' is not one of {spec['enum']}")
        )
    if spec["type"] in ("integer", "number", "boolean"):
        wrong[key] = json.dumps(one.arguments[key])
    elif spec["type"] == "array":
        wrong[key] = str(one.arguments[key][0])
    else:
        wrong[key] = source.integer(0, 99)
    return wrong, source.pick(
        (
            f"'{key}' must be {spec['type']}",
            f"argument '{key}' is not of type {spec['type']}",
            f"{key}: expected {spec['type']}",
            f"Type mismatch for parameter {key}. Expected: {spec['type']}",
            f"{json.dumps(wrong[key])} is not of type '{spec['type']}'",
        )
    )


def tool_correction(source: Source) -> Conversation:
    """A call with wrong arguments, the validator's message, and the corrected call."""
    one = new_call(source)
    damaged = _damaged(source, one) if one.arguments else None
    if damaged is None:
        return tool_failure(source)
    wrong, complaint = damaged
    chat, _ = opened(source, [one])
    ask(chat, [Call(one.tool, wrong, "")], one.request)
    chat.learned_from = len(chat.messages)
    prefix = source.pick(
        (
            "Error: ",
            "Invalid arguments: ",
            "error: ",
            f"There was an error validating function call against function signature: {one.name}\n",
            "Wrong arguments: ",
        )
    )
    content: object = (
        f"{prefix}{complaint}"
        if source.chance(0.7)
        else {"error": f"{source.pick(('', 'invalid arguments: '))}{complaint}"}
    )
    respond(chat, [one], [content], calls_text([one]))
    if source.chance(0.4):
        value = result(source)
        respond(chat, [one], [value], stated(value))
    return chat.conversation()


def tool_chain(source: Source) -> Conversation:
    """The result of the first call becomes an argument of the second."""
    first, second = call(source, tool(source)), tool(source, 1)
    key, spec = next(iter(second["parameters"]["properties"].items()))
    if first.name == second["name"] or "enum" in spec or spec["type"] in ("array", "boolean"):
        return tool_result(source)
    value = value_for(source, spec)
    chat, _ = opened(source, [first, Call(second, {}, "")])
    request = first.request + ("" if first.request[-1] in ".!?" else ".")
    joint = source.pick(
        (
            " Then use {n} with the result as {k}.",
            " Then call {n} with {k} set to the result.",
            " Give its result to {n} as {k}.",
            " Use the result as {k} for {n}.",
        )
    )
    chat.say(request + joint.format(n=second["name"], k=key), calls_text([first]))
    then = Call(second, {key: value}, "")
    respond(chat, [first], [value], calls_text([then]))
    content = result(source)
    respond(chat, [then], [content], stated(content))
    return chat.conversation()


def no_tool(source: Source) -> Conversation:
    """Tools are offered, but the question needs none, names one that is not there, or leaves out an argument."""
    one = call(source, tool(source))
    chat, _ = opened(source, [one])
    draw = source.pick(range(10))
    required = one.tool["parameters"].get("required", [])
    if draw < 2:
        missing = call(source, tool(source), by_name=True)
        chat.say(
            missing.request,
            f"I have no tool named {missing.name}." if missing.name != one.name else calls_text([missing]),
        )
    elif draw < 4 and required:
        bare = one.tool | {"parameters": {"type": "object", "properties": {}}}
        chat.say(call(source, bare).request, f"Which {required[0]} should I use for {one.name}?")
        value = value_for(source, one.tool["parameters"]["properties"][required[0]])
        if len(required) == 1 and source.chance(0.7):
            chat.say(
                shown(source, value, quoted=source.chance(0.3)), calls_text([Call(one.tool, {required[0]: value}, "")])
            )
    elif draw == 4:
        chat.say(*identity(chat))
    else:
        chat.say(*task(source))
    return chat.conversation()


def scratch_pad(source: Source) -> Conversation:
    """Calls in the form that plans in a scratch pad first."""
    one = call(source, tool(source))
    tools, text = offer(source, [one.tool], most=3)
    schemas = [ToolSchema(one["name"], one["description"], one["parameters"], one.get("return")) for one in tools]
    pad = function_calling.system_text(schemas, _SCRATCH_PAD.replace("{tools}", function_calling.TOOLS_PLACE))
    if source.chance(0.4):
        pad = f"{text}\n\n{_SCRATCH_PAD[_SCRATCH_PAD.index('You must use <scratch_pad>') :]}"
    chat = Chat(source)
    chat.messages.append(Message("system", pad))
    shown_arguments = ", ".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in one.arguments.items()
    )
    plan = f"Goal: Call {one.name}.\nActions:\n- result = functions.{one.name}({shown_arguments})\nObservation: None\nReflection: {one.name} fits and its arguments are given."
    chat.say(one.request, f"<scratch_pad>\n{plan}\n</scratch_pad>\n{calls_text([one])}")
    if source.chance(0.5):
        content = result(source)
        answer = stated(content)
        after = f"Goal: Call {one.name}.\nActions: None\nObservation: {one.name} returned its result.\nReflection: The task is done."
        respond(chat, [one], [content], f"<scratch_pad>\n{after}\n</scratch_pad>\n{answer}")
    return chat.conversation()


TOOL_CONVERSATIONS: tuple[tuple[Callable[[Source], Conversation], float], ...] = (
    (tool_call, 8.0), (tool_result, 5.0), (long_result, 4.0), (tool_failure, 1.2), (tool_correction, 1.6), (tool_chain, 1.0), (no_tool, 2.2), (scratch_pad, 1.0),
)  # fmt: skip
