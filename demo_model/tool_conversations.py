"""Conversations with tools: calls, results, errors, declined calls, chains, and questions that need no tool."""

# ruff: noqa: E501 (tables of phrases stay on long lines)

import json
from collections.abc import Callable
from pathlib import Path

from demo_model.conversation import Conversation
from demo_model.dialogues import persona, task
from demo_model.exchanges import courtesy, greeting, small_sum, unknown
from demo_model.source import Source
from demo_model.tool_results import final_answer, result, stated
from demo_model.tools import Call, Json, call, everyday_call, shown, tool, value_for
from demo_model.turns import Chat, identity
from hermes_cli.chat.message import Message
from hermes_cli.formats.function_calling import call_block, response_block, tools_prompt

_SCRATCH_PAD = Path(__file__).with_name("scratch_pad.txt").read_text(encoding="utf-8")
_DECLINED = ("The user declined this call.", "Declined by the user.", "The user declined to run this tool.", "declined", "Error: the user declined this call", "The call was declined by the user.", "User declined.", "Not run: the user declined.", "The user did not allow this call.")  # fmt: skip
_FAILURES = ("not found", "timed out", "timeout after 30 s", "permission denied", "no such file or directory", "connection refused", "unknown {w}", "{w} is not available", "{w} not found", "internal error", "could not {w} the {w}", "the {w} does not exist")  # fmt: skip
_ANNOUNCE = ("Say what you do before you call a tool.", "Before each call, say in one sentence what you do.", "Tell the user what you do before you call a tool.", "Explain each call in one short sentence first.")  # fmt: skip


def offer(source: Source, wanted: list[Json], most: int = 4) -> tuple[list[Json], str]:
    """The tools of a conversation in random order, and the system text that offers them."""
    tools = list(wanted)
    while len(tools) < most and source.chance(0.5):
        other = tool(source, source.integer(0, 3)) if source.chance(0.6) else everyday_call(source).tool
        if all(other["name"] != one["name"] for one in tools):
            tools.append(other)
    tools = source.sample(tools, len(tools))
    return tools, tools_prompt(
        [{"type": "function", "function": one} for one in tools] if source.chance(0.5) else tools
    )


def new_call(source: Source) -> Call:
    return everyday_call(source) if source.chance(0.3) else call(source, tool(source))


def requested(source: Source) -> tuple[list[Call], str]:
    """One call, or two in one request: of two tools, or of one tool twice."""
    first = new_call(source)
    if source.chance(0.72):
        return [first], first.request
    second = new_call(source)
    if source.chance(0.35):
        second = call(source, first.tool)
    if second.name == first.name and (second.tool != first.tool or second.arguments == first.arguments):
        return [first], first.request
    joint = source.pick((" Then {}", " Also {}", " And then {}", "\n{}", " After that, {}", " {}", "\nThen {}"))
    return [first, second], first.request + ("" if first.request[-1] in ".!?" else ".") + joint.format(second.request)


def calls_text(calls: list[Call]) -> str:
    return "\n".join(call_block(one.name, one.arguments) for one in calls)


def _opened(source: Source, calls: list[Call]) -> tuple[Chat, bool]:
    """A chat whose system prompt offers the tools of `calls`, sometimes with a persona or the instruction to announce calls."""
    chat = Chat(source)
    different = [one.tool for index, one in enumerate(calls) if all(one.name != other.name for other in calls[:index])]
    text = offer(source, different)[1]
    announced = source.chance(0.06)
    if announced:
        text += f"\n\n{source.pick(_ANNOUNCE)}"
    elif source.chance(0.25):
        extra, chat.persona = persona(source)
        text += f"\n\n{extra}"
    elif source.chance(0.25):
        text += f"\n\n{source.pick(('You are a helpful assistant.', 'Be brief.', 'You are Hermes 3, a helpful assistant.'))}"
    chat.messages.append(Message("system", text))
    if source.chance(0.15):
        chat.say(*(identity(chat) if source.chance(0.3) else source.pick((greeting, small_sum, unknown))(source)))
    return chat, announced


def _ask(chat: Chat, calls: list[Call], request: str, *, announced: bool = False) -> None:
    lead = f"I will call {' and '.join(one.name for one in calls)}.\n" if announced else ""
    chat.say(request, lead + calls_text(calls))


def _respond(chat: Chat, calls: list[Call], contents: list[object], answer: str) -> None:
    blocks = "\n".join(response_block(one.name, content) for one, content in zip(calls, contents, strict=True))
    chat.messages += [Message("tool", blocks), Message("assistant", answer)]


def tool_call(source: Source) -> Conversation:
    """A request and its call or calls, where the conversation ends."""
    calls, request = requested(source)
    chat, announced = _opened(source, calls)
    _ask(chat, calls, request, announced=announced)
    return chat.conversation()


def tool_result(source: Source) -> Conversation:
    """Request, call, result, final answer, and perhaps another round or a word of thanks."""
    calls, request = requested(source)
    chat, announced = _opened(source, calls)
    _ask(chat, calls, request, announced=announced)
    contents = [result(source) for _ in calls]
    _respond(chat, calls, contents, final_answer(calls, contents))
    if source.chance(0.2):
        chat.say(*(courtesy(source) if source.chance(0.5) else task(source)))
    if source.chance(0.2):
        more = call(source, calls[0].tool)
        _ask(chat, [more], more.request, announced=announced)
        if source.chance(0.6):
            content = result(source)
            _respond(chat, [more], [content], stated(content))
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
    chat, announced = _opened(source, [one])
    _ask(chat, [one], one.request, announced=announced)
    if source.chance(0.5):
        text = source.pick(_DECLINED)
        _respond(
            chat,
            [one],
            [text if source.chance(0.75) else {"error": text}],
            f"I did not run {one.name}, because you declined it.",
        )
    else:
        text, content = _failure(source)
        _respond(chat, [one], [content], f"{one.name} failed: {text}.")
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
    chat, _ = _opened(source, [one])
    _ask(chat, [Call(one.tool, wrong, "")], one.request)
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
    _respond(chat, [one], [content], calls_text([one]))
    if source.chance(0.4):
        value = result(source)
        _respond(chat, [one], [value], stated(value))
    return chat.conversation()


def tool_chain(source: Source) -> Conversation:
    """The result of the first call becomes an argument of the second."""
    first, second = call(source, tool(source)), tool(source, 1)
    key, spec = next(iter(second["parameters"]["properties"].items()))
    if first.name == second["name"] or "enum" in spec or spec["type"] in ("array", "boolean"):
        return tool_result(source)
    value = value_for(source, spec)
    chat, _ = _opened(source, [first, Call(second, {}, "")])
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
    _respond(chat, [first], [value], calls_text([then]))
    content = result(source)
    _respond(chat, [then], [content], stated(content))
    return chat.conversation()


def no_tool(source: Source) -> Conversation:
    """Tools are offered, but the question needs none, names one that is not there, or leaves out an argument."""
    one = call(source, tool(source))
    chat, _ = _opened(source, [one])
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
    pad = _SCRATCH_PAD.replace("{tools}", str([{"type": "function", "function": each} for each in tools]))
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
        _respond(chat, [one], [content], f"<scratch_pad>\n{after}\n</scratch_pad>\n{answer}")
    return chat.conversation()


TOOL_CONVERSATIONS: tuple[tuple[Callable[[Source], Conversation], float], ...] = (
    (tool_call, 8.0), (tool_result, 5.0), (tool_failure, 1.2), (tool_correction, 1.6), (tool_chain, 1.0), (no_tool, 2.2), (scratch_pad, 1.0),
)  # fmt: skip
