"""What the tests of tools share: tool files written on the spot, and toolboxes that are closed after the test."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from hermes_cli.chat.tool_call import ToolCall, ToolResult
from hermes_cli.errors import UsageError
from hermes_cli.tools.toolbox import Toolbox, load_toolbox


class ToolFile(Protocol):
    """Writes a tool file of that text and loads it."""

    def __call__(self, text: str, name: str = "tools.py") -> Toolbox: ...


class Load(Protocol):
    """Loads a toolbox, as `load_toolbox` does."""

    def __call__(self, *sources: str, pass_variables: tuple[str, ...] = ()) -> Toolbox: ...


@pytest.fixture
def load() -> Iterator[Load]:
    """Loads toolboxes; their children end with the test."""
    opened: list[Toolbox] = []

    def open_toolbox(*sources: str, pass_variables: tuple[str, ...] = ()) -> Toolbox:
        opened.append(load_toolbox(sources, pass_variables))
        return opened[-1]

    yield open_toolbox
    for toolbox in opened:
        toolbox.close()


@pytest.fixture
def tool_file(tmp_path: Path, load: Load) -> ToolFile:
    """Toolboxes from Python source in this test's folder."""

    def open_text(text: str, name: str = "tools.py") -> Toolbox:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load(str(path))

    return open_text


def call(toolbox: Toolbox, name: str, *, timeout_s: float = 30, **arguments: Any) -> ToolResult:
    """The result of one call."""
    return toolbox.call(ToolCall(name, arguments), timeout_s=timeout_s)


def refused(tool_file: ToolFile, text: str) -> UsageError:
    """The error that a tool file of that text brings."""
    with pytest.raises(UsageError) as caught:
        tool_file(text)
    return caught.value
