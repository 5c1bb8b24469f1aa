"""The settings of a session."""

from dataclasses import field

from hermes_cli.chat.sampling import Sampling
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The settings that a session's file saves; None leaves a choice to the program."""

    model: str | None = None
    preset: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    endpoint: str | None = None
    lora: tuple[str, ...] | None = None  # LoRA adapters, as --lora takes them
    mcp: tuple[str, ...] | None = None  # names of MCP servers, never commands or addresses, which may hold secrets
    prefill: str | None = None  # begins every answer
