"""Whether the tool calls of an answer failed, over all rounds."""

from collections.abc import Iterator

import pytest

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.events import Finished, Timings, Usage
from hermes_cli.chat.message import FinishReason, Message
from hermes_cli.chat.tool_call import ToolCall, ToolResult
from hermes_cli.cli.ask.answer_form import tools_failed
from hermes_cli.engine.local import LocalBackend
from hermes_cli.session.session import Session
from hermes_cli.session.turn_loop import ToolUse
from hermes_cli.terminal.answer.turn_view import ShownAnswer
from hermes_cli.tools.approval import Decision
from hermes_cli.tools.results import response_message
from hermes_cli.tools.toolbox import Toolbox, load_toolbox

SUM, SUM_FAILED = (ToolResult(ToolCall("calculate", {}), True, error=error) for error in (None, "division by zero"))
READ, READ_FAILED = (ToolResult(ToolCall("read_file", {}), True, error=error) for error in (None, "no such file"))
UNKNOWN = ToolResult(ToolCall("calculat", {}), True, error="there is no tool calculat")


@pytest.fixture(scope="module")
def toolbox() -> Iterator[Toolbox]:
    with load_toolbox(["calculate", "read_file"]) as opened:
        yield opened


@pytest.mark.parametrize(
    ("rounds", "reason", "failed"),
    [
        ([], "stop", False),
        ([[SUM]], "stop", False),
        ([[SUM_FAILED]], "stop", True),
        ([[SUM_FAILED], [SUM]], "stop", False),
        ([[SUM_FAILED], [READ]], "stop", True),
        ([[SUM_FAILED, SUM]], "stop", True),
        ([[UNKNOWN], [SUM]], "stop", False),
        ([[UNKNOWN]], "stop", True),
        ([[SUM], [READ_FAILED]], "stop", True),
        ([[SUM]], "length", False),
    ],
)
def test_failed_call_counts_unless_a_later_round_succeeds(
    backend: LocalBackend, toolbox: Toolbox, rounds: list[list[ToolResult]], reason: FinishReason, failed: bool
) -> None:
    said = Message("assistant", "...", "stop")
    messages = [one for results in rounds for one in (said, response_message(results))]
    turn = Turn(1, (Message("user", "?"), *messages, said))
    session = Session(backend, Conversation(turns=(turn,)), tools=ToolUse(toolbox, lambda call, cancel: Decision(True)))
    report = tuple(result for results in rounds for result in results)
    assert tools_failed(ShownAnswer("...", Finished(reason, Usage(), Timings(), 0), report), session) is failed
