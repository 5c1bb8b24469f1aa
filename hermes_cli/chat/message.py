"""One message of a conversation."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Message:
    """Who said what; `content` is the exact text, never cleaned or trimmed.

    `finish_reason` says how an answer ended: "cancelled" and "length" mark one that is only a part.
    """

    role: Role
    content: str
    finish_reason: FinishReason | None = None
