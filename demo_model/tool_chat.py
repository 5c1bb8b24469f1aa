"""Chats that offer tools: the system prompt, the request, its calls and their results."""

# ruff: noqa: E501 (tables of phrases stay on long lines)

from demo_model.dialogues import persona
from demo_model.exchanges import greeting, small_sum
from demo_model.long_results import with_return
from demo_model.questions import unknown
from demo_model.source import Source
from demo_model.tools import Call, Json, call, everyday_call, tool
from demo_model.turns import Chat, identity
from hermes_cli.chat.message import Message
from hermes_cli.formats.function_calling import call_block, response_block, tools_prompt

_ANNOUNCE = ("Say what you do before you call a tool.", "Before each call, say in one sentence what you do.", "Tell the user what you do before you call a tool.", "Explain each call in one short sentence first.")  # fmt: skip


def offer(source: Source, wanted: list[Json], most: int = 4) -> tuple[list[Json], str]:
    """The tools of a conversation in random order, and the system text that offers them."""
    tools = list(wanted)
    while len(tools) < most and source.chance(0.5):
        other = tool(source, source.integer(0, 3)) if source.chance(0.6) else everyday_call(source).tool
        if all(other["name"] != one["name"] for one in tools):
            tools.append(other)
    tools = [with_return(source, one) for one in source.sample(tools, len(tools))]
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


def opened(source: Source, calls: list[Call]) -> tuple[Chat, bool]:
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


def ask(chat: Chat, calls: list[Call], request: str, *, announced: bool = False) -> None:
    lead = f"I will call {' and '.join(one.name for one in calls)}.\n" if announced else ""
    chat.say(request, lead + calls_text(calls))


def respond(chat: Chat, calls: list[Call], contents: list[object], answer: str) -> None:
    blocks = "\n".join(response_block(one.name, content) for one, content in zip(calls, contents, strict=True))
    chat.messages += [Message("tool", blocks), Message("assistant", answer)]
