"""An answer with calls on a real terminal: the trace is below the text, and both stay visible."""

from pathlib import Path

from tests.terminal.prompt.prompts import on_terminal

SHOWING = """
from hermes_cli.chat.events import Finished, TextDelta, Timings, ToolFinished, Usage
from hermes_cli.chat.tool_call import ToolCall, ToolResult
from hermes_cli.terminal.answer.output import standard_output
from hermes_cli.terminal.answer.turn_view import show_answer

def events():
    yield TextDelta("Let me look")
    yield ToolFinished(ToolResult(ToolCall("unknown", {}), approved=True, error="not JSON"))
    yield TextDelta("It failed.")
    yield Finished("stop", Usage(), Timings(), 1)

output = standard_output()
show_answer(events(), output)
output.finish()
"""


def test_text_before_a_call_that_runs_without_asking_stays(tmp_path: Path) -> None:
    with on_terminal(tmp_path, program=SHOWING) as terminal:
        assert terminal.exit_code() == 0
        assert terminal.lines() == ["Let me look", "unknown() → not JSON", "It failed."]
