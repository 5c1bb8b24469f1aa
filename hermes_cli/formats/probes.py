"""Conversations that show what a chat template does: whether it writes ChatML, and whether it takes tools as we do."""

from collections.abc import Callable, Iterable

from hermes_cli.chat.message import Message
from hermes_cli.chat.tool_call import ToolCall, ToolResult, ToolSchema
from hermes_cli.formats import chatml
from hermes_cli.formats.function_calling import call_block, response_block, system_text
from hermes_cli.formats.segment import Segment, merged

Write = Callable[[Iterable[Message]], tuple[Segment, ...]]

CALL = ToolCall("probe_tool", {"city": "Oslo"})
DESCRIPTION, RESULT = "What the probe does.", "What the probe found."
_CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "A city."}}, "required": ["city"]}
_TOOL = ToolSchema(CALL.name, DESCRIPTION, _CITY)
_SYSTEM = Message("system", " Be brief.\n")
_FIRST = (Message("user", " What is\n\nthis? "), Message("assistant", "\n A probe. "), Message("user", "Why?"))
_ROUND = (
    Message("assistant", call_block(CALL.name, CALL.arguments)),
    Message("tool", response_block(CALL.name, RESULT), tool_results=(ToolResult(CALL, approved=True, value=RESULT),)),
)
WITH_TOOLS = (
    Message("system", system_text([_TOOL], "Be brief."), tools=(_TOOL,)),
    Message("user", "What is it?"),
    *_ROUND,
    Message("assistant", "This."),
    Message("user", "Thanks."),
)
ROLES = {
    "system": (Message("system", "Be brief."), Message("user", "What is it?")),
    "tool": (Message("user", "What is it?"), Message("assistant", "I ask the probe."), Message("tool", RESULT)),
}
_CONVERSATIONS = (
    (_SYSTEM, _FIRST[0]),
    (_SYSTEM, *_FIRST),
    (_SYSTEM, *_FIRST, Message("assistant", "So."), Message("user", "")),
    WITH_TOOLS,
    WITH_TOOLS[:4],
    _FIRST[:1],
    _FIRST,
)
# What the template of Hermes 3 adds where there is no system prompt. The model card says to leave the line out.
_INVENTED = merged(chatml.write([Message("system", "You are a helpful assistant.")], reply=False))


def writes_chatml(write: Write) -> bool:
    """Whether a template writes every probe as our ChatML does; it may add the system prompt that Hermes 3's adds."""
    return all(_written(write, probe) == chatml.write(probe) for probe in _CONVERSATIONS)


def _written(write: Write, probe: tuple[Message, ...]) -> tuple[Segment, ...]:
    found = write(probe)
    if probe[0].role != "system" and found[: len(_INVENTED)] == _INVENTED:
        return found[len(_INVENTED) :]
    return found
