"""The part of the context that the definitions of tools take up."""

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.message import Message
from hermes_cli.session.session import Session, as_read

_WARN_FRACTION = 0.2


def tool_cost_note(session: Session) -> str | None:
    """How many tokens the tools take, where some are of MCP servers, with advice above a fifth of the context.

    The backend must be loaded. Raises HermesError where its template refuses tools.
    """
    tools = session.tools.toolbox if session.tools else None
    if tools is None or not any(tool.origin.startswith("mcp ") for tool in tools.tools.values()):
        return None
    conversation = Conversation(session.conversation.system_prompt)

    def count(schemas: bool) -> int:
        read = as_read(conversation, tools.schemas if schemas else (), session.schema)
        return session.backend.count_tokens((*read.messages, Message("user", "-")))

    tokens, context = count(True) - count(False), session.backend.info.context_length
    number = len(tools.tools)
    note = f"{number} tool{'s' * (number != 1)}: {tokens:,} tokens, {tokens / context:.0%} of the context"
    if tokens > context * _WARN_FRACTION:
        note += "; keep only those you need: --tools-only NAMES or --tools-match WORDS"
    return note
