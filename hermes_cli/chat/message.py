"""One message of a conversation."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """Who said what; `content` is the exact text, never cleaned or trimmed."""

    role: Role
    content: str
