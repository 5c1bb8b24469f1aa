"""One message of a conversation."""

from typing import Literal

from hermes_cli.chat.tool_call import ToolResult, ToolSchema
from hermes_cli.values import dataclass

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `content` is the exact text, never cleaned or trimmed.

    `finish_reason` says how an answer ended: "cancelled" and "length" mark one that is only a part. `tool_results` are
    the results that a message of the role "tool" reports, `tools` those that a system message offers in its content.
    `thinking` is what the model wrote before its answer; it is not a part of `content`.
    """

    role: Role
    content: str
    finish_reason: FinishReason | None = None
    tool_results: tuple[ToolResult, ...] = ()
    thinking: str = ""
    tools: tuple[ToolSchema, ...] = ()
