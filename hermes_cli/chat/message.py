"""One message of a conversation."""

from dataclasses import dataclass
from typing import Literal

from hermes_cli.chat.tool_call import ToolResult

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Message:
    """Who said what; `content` is the exact text, never cleaned or trimmed.

    `finish_reason` says how an answer ended: "cancelled" and "length" mark one that is only a part. `tool_results` are
    what a message of the role "tool" tells.
    """

    role: Role
    content: str
    finish_reason: FinishReason | None = None
    tool_results: tuple[ToolResult, ...] = ()
