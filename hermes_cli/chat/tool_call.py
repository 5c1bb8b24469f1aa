"""Tools as they are described to the model, the calls that it makes and their results."""

from collections.abc import Mapping
from typing import Any

from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A tool as it is described to the model: JSON Schemas of its arguments and, where it says so, of its result."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    returns: Mapping[str, Any] | None = None

    @property
    def function(self) -> dict[str, Any]:
        """The tool in OpenAI's form; what it returns is `return`, as the model's own template reads it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return function if self.returns is None else {**function, "return": self.returns}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool's name and the arguments the model gave it."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BrokenCall:
    """A call that cannot be read: its `text`, and the `problem` in words that help the model."""

    text: str
    problem: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a call: a `value` that JSON can hold, or an `error`; not `approved` if the user declined it."""

    call: ToolCall
    approved: bool
    value: Any = None
    error: str | None = None
