"""`hermes ask --map`: every line of stdin answered in a conversation of its own, one record each, in order."""

import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.events import TextDelta, ToolFinished, TurnEvent
from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.ask.answer_form import final_text, problem_with_data, tools_failed
from hermes_cli.cli.map.input import MapInput, count_lines, map_inputs
from hermes_cli.cli.map.records import Outcome, RecordOutput, record, record_output
from hermes_cli.errors import (
    ContextOverflow,
    HermesError,
    LoadCancelled,
    SchemaNotSatisfied,
    ToolFailed,
    UsageError,
)
from hermes_cli.formats.json.mode import parsed
from hermes_cli.terminal.answer.output import Collected
from hermes_cli.terminal.answer.turn_view import ShownAnswer, print_control_text, show_answer
from hermes_cli.terminal.attachments.attachment import joined
from hermes_cli.terminal.attachments.sources import STDIN, attachments_at
from hermes_cli.terminal.console import StatusLine, is_terminal, notice
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.stdin import stdin_is_data

if TYPE_CHECKING:
    from hermes_cli.cli.options.given import Given
    from hermes_cli.session.choices import Layers
    from hermes_cli.session.session import Session

# If all failures are of one of these kinds, its exit code is that of the run.
_OWN_EXIT_CODES = (ContextOverflow.exit_code, SchemaNotSatisfied.exit_code, ToolFailed.exit_code)


@dataclass(frozen=True, slots=True)
class MapWanted:
    """Where the records go, how long the run may take, and whether its speed is printed."""

    output: Path | None
    timeout_s: float | None
    stats: bool


def answer_lines(given: "Given", words: Sequence[str], wanted: MapWanted) -> int:
    """Answer each line of stdin, with the words and files before it; returns the exit code."""
    asked_for = bool(words) and words[-1] == STDIN
    if not asked_for and not stdin_is_data():
        raise UsageError("--map reads one input per line from stdin", "redirect a file: hermes ask --map < lines.txt")
    prefix = " ".join(words[:-1] if asked_for else words)
    shared = joined(prefix, attachments_at(given.files)).encode("utf-8", "replace").decode()
    cancel = CancelToken()
    tally = _Tally()
    with stopping(cancel, wanted.timeout_s, leave=lambda: None), closing(record_output(wanted.output)) as output:
        with suppress(LoadCancelled):
            _Run(
                given.layers.with_flag(save=False), shared, output, tally, cancel, verbose=given.verbose
            ).answer_inputs()
        tally.print(output, speed=wanted.stats or given.verbose)
    return EXIT_CODES[cancel.reason] if cancel.reason else tally.exit_code(output)


class _Tally:
    """Counts the outcomes of this run."""

    def __init__(self) -> None:
        self._answered = self._tokens = 0
        self._failed: Counter[int] = Counter()
        self._first_failure = ""
        self._started = time.monotonic()

    def start(self) -> None:
        """Start the clock; the model is loaded."""
        self._started = time.monotonic()

    def add(self, given: MapInput, outcome: Outcome) -> None:
        """Count a record that was written."""
        self._tokens += outcome.tokens
        if outcome.error is None:
            self._answered += 1
        else:
            self._failed[outcome.exit_code] += 1
            self._first_failure = self._first_failure or f"line {given.index}: {outcome.error}"

    def speed(self) -> str:
        """Tokens per second over all answers, prompt processing included; empty before the first."""
        seconds = max(time.monotonic() - self._started, 1e-3)
        return f"{self._tokens / seconds:.1f} tok/s" if self._tokens else ""

    def print(self, output: RecordOutput, *, speed: bool) -> None:
        """Print a summary of the run on stderr."""
        before = f" ({output.kept_failed:,} of them failed)" if output.kept_failed else ""
        parts = (
            f"{output.kept:,} kept{before}" if output.kept else "",
            f"{self._answered:,} answered",
            f"{self._failed.total():,} failed, the first in {self._first_failure}" if self._failed else "",
            f"{self._tokens:,} tok" if speed else "",
            self.speed() if speed else "",
        )
        notice(" · ".join(part for part in parts if part))

    def exit_code(self, output: RecordOutput) -> int:
        """0 if no record has an error, 4, 5 or 6 if all errors are of that kind, else 1."""
        if output.kept_failed or len(self._failed) > 1:
            return HermesError.exit_code
        code = next(iter(self._failed), 0)
        return code if code in (0, *_OWN_EXIT_CODES) else HermesError.exit_code


class _Run:
    """One run over the inputs."""

    def __init__(
        self,
        layers: "Layers",
        shared: str,
        output: RecordOutput,
        tally: _Tally,
        cancel: CancelToken,
        *,
        verbose: bool,
    ) -> None:
        self._layers, self._shared, self._verbose = layers, shared, verbose
        self._output, self._tally, self._cancel = output, tally, cancel
        self._printed_control_text = False
        self._status = StatusLine()
        self._shares_terminal = is_terminal(sys.stdout)
        self._of_all = ""

    def answer_inputs(self) -> None:
        """Answer all inputs; the model loads with the first. Raises HermesError, BrokenPipeError."""
        if is_terminal(sys.stderr) and (lines := count_lines()) is not None:
            self._of_all = f"/{lines:,}"
        with closing(map_inputs(self._cancel)) as inputs:
            waiting = self._output.pending(inputs)
            first = next(waiting, None)
            if first is None or self._cancel.cancelled:
                return
            try:
                self._answer_all(first, waiting)
            finally:
                self._status.erase()

    def _answer_all(self, first: MapInput, others: Iterator[MapInput]) -> None:
        from hermes_cli.cli.opening import open_session
        from hermes_cli.session.opening import begin

        with closing(open_session(begin(self._layers), self._cancel, verbose=self._verbose)) as session:
            self._tally.start()
            given: MapInput | None = first
            while given is not None and not self._cancel.cancelled:
                outcome = self._outcome(session, given)
                if outcome is None:
                    return
                if self._shares_terminal:
                    self._status.erase()
                self._output.write(record(given, outcome))
                self._tally.add(given, outcome)
                given = next(others, None)

    def _outcome(self, session: "Session", given: MapInput) -> Outcome | None:
        """The outcome of an input; None if it was stopped before the end."""
        without = {"data": None} if session.schema is not None else {}
        if given.problem:
            return Outcome(None, None, without, 0, given.problem, HermesError.exit_code)
        text = f"{self._shared}\n\n{given.text}" if self._shared else given.text
        session.restart(Conversation(session.conversation.system_prompt), None)
        try:
            self._print_control_text(session, text, given)
            shown = show_answer(self._watched(session.send(text, self._cancel), given), Collected())
        except HermesError as problem:
            if self._cancel.cancelled:
                return None
            return Outcome(None, None, without, 0, problem.message, problem.exit_code)
        return None if shown.cancelled else _outcome_of(shown, session)

    def _watched(self, events: Generator[TurnEvent], given: MapInput) -> Generator[TurnEvent]:
        """Pass the events on and update the status line."""
        with closing(events):
            for event in events:
                if isinstance(event, TextDelta):
                    shown = (f"line {given.index:,}{self._of_all}", self._tally.speed())
                    self._status.show(" · ".join(part for part in shown if part))
                elif isinstance(event, ToolFinished):
                    self._status.erase()
                yield event

    def _print_control_text(self, session: "Session", text: str, given: MapInput) -> None:
        """Print once that a line contains markers of the model as text."""
        if not self._printed_control_text and (found := session.control_text(text)):
            self._printed_control_text = True
            print_control_text([f"line {given.index}: {found[0]}", *found[1:]])


def _outcome_of(shown: ShownAnswer, session: "Session") -> Outcome:
    """The outcome of a complete answer."""
    from hermes_cli.store.sessions.fields import result_fields

    text, facts = final_text(shown, session), dict[str, Any]()
    if shown.thinking:
        facts["thinking"] = shown.thinking
    problem: HermesError | None = problem_with_data(shown, session)
    if session.schema is not None:
        facts["data"] = None if problem else parsed(text)
    if session.tools:
        facts["tool_calls"] = [result_fields(result) for result in shown.tool_results]
        if tools_failed(shown, session):
            last = next(result for result in reversed(shown.tool_results) if result.error is not None)
            problem = ToolFailed(f"{last.call.name}: {last.error}", "")
    finished = shown.finished
    wrong = (problem.message, problem.exit_code) if problem else ()
    return Outcome(text, finished.reason, facts, finished.usage.completion_tokens, *wrong)
