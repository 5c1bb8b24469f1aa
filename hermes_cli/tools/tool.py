"""A tool: its description for the model, and what the user's consent depends on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.tools.child.process import Limits


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as its file describes it. `origin` is that file, or the name of a built-in; `sha256` is of its bytes."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    read_only: bool
    origin: str
    sha256: str
    line: int | None = None
    returns: Mapping[str, Any] | None = None

    @property
    def schema(self) -> ToolSchema:
        """The description for the model."""
        return ToolSchema(self.name, self.description, self.parameters, self.returns)

    @property
    def accepted(self) -> Mapping[str, Any]:
        """The schema that the arguments of a call must satisfy: no others than those declared, unless it says so."""
        return {**self.parameters, "additionalProperties": self.parameters.get("additionalProperties", False)}


class Runner(Protocol):
    """Runs the tools of one file in child processes."""

    def run(self, name: str, arguments: Mapping[str, Any], limits: Limits) -> Any:
        """The result of a call, as JSON can hold it. Raises CallFailed."""

    def close(self) -> None:
        """End every child."""
