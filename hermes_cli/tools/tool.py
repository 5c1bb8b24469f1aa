"""A tool: what the model is told of it, and what the user's consent goes by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hermes_cli.chat.request import ToolSchema
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

    @property
    def schema(self) -> ToolSchema:
        """What the model is told."""
        return ToolSchema(self.name, self.description, self.parameters)


class Runner(Protocol):
    """Runs the tools of one file in child processes."""

    def run(self, name: str, arguments: Mapping[str, Any], limits: Limits) -> Any:
        """The result of a call, as JSON can hold it. Raises CallFailed."""

    def close(self) -> None:
        """End every child."""
