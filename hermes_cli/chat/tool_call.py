"""Calls that the model makes, and what came of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool's name and the arguments the model gave it."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BrokenCall:
    """What was meant as a call but cannot be run: its `text`, and the `problem` in words that help the model."""

    text: str
    problem: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call led to: a `value` that JSON can hold, or an `error`; not `approved` where the user declined it."""

    call: ToolCall
    approved: bool
    value: Any = None
    error: str | None = None
