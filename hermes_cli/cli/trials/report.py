"""Reports of test cases: lines of text after each case, or one JSON object at the end."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.cli.trials.cases import NO_CALL
from hermes_cli.cli.trials.runner import SEED, Answer, Outcome
from hermes_cli.terminal.answer.output import StandardOutput
from hermes_cli.terminal.sanitize import one_line

_SHOWN_CHARACTERS = 200


class Report(Protocol):
    """Prints outcomes."""

    def begin(self, model_name: str) -> None:
        """Called once the model is loaded."""

    def add(self, outcome: Outcome) -> None:
        """Called after each case."""

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """Called after all of them."""


class TextReport:
    """A line for the model and for each case, details of failed ones, and a table of pass rates."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._output = StandardOutput()
        self._width = max(map(len, labels))

    def begin(self, model_name: str) -> None:
        """Print which model answers."""
        self._output.write(f"model: {one_line(model_name)}, seed {SEED}\n")

    def add(self, outcome: Outcome) -> None:
        """Print a case, and the first wrong answer if it failed."""
        case = outcome.case
        counted = f"{outcome.right}/{len(outcome.answers)}  " if len(outcome.answers) > 1 else ""
        verdict = "pass" if outcome.passed else "FAIL"
        lines = [f"{verdict}  {case.label:<{self._width}}  {counted}{_shortened(case.prompt)}"]
        if not outcome.passed:
            wrong = next(answer for answer in outcome.answers if answer.faults)
            lines += [f"      {line}" for line in _details(wrong)]
        self._output.write("\n".join(lines) + "\n")

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """Print the pass rates."""
        rows = list(_rates(outcomes))
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{one_line(name):<{width}}  {right}/{asked}  {right / asked:.0%}" for name, right, asked in rows]
        self._output.write("\n".join(["", *lines]) + "\n")


class JsonReport:
    """One JSON object with every answer."""

    def __init__(self, *, constrained: bool) -> None:
        self._constrained = constrained
        self._model_name = ""

    def begin(self, model_name: str) -> None:
        """Remember which model answers."""
        self._model_name = model_name

    def add(self, outcome: Outcome) -> None:
        """Do nothing: the object is printed at the end."""

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """Print the object."""
        *groups, (_, passed, total) = _rates(outcomes)
        facts = {
            "model": self._model_name,
            "seed": SEED,
            "constrained": self._constrained,
            "passed": passed,
            "total": total,
            "groups": [{"name": name, "passed": right, "total": asked} for name, right, asked in groups],
            "cases": [_fields(outcome) for outcome in outcomes],
        }
        StandardOutput().write(json.dumps(facts) + "\n")


def _rates(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, int, int]]:
    """For each group and for all cases together: passed, total."""
    asked = Counter(group for outcome in outcomes for group in outcome.case.groups)
    right = Counter(group for outcome in outcomes if outcome.passed for group in outcome.case.groups)
    for group in sorted(asked, key=lambda name: (name == NO_CALL, name)):
        yield group, right[group], asked[group]
    yield "all", sum(outcome.passed for outcome in outcomes), len(outcomes)


def _details(answer: Answer) -> list[str]:
    """The problems of an answer, its tool calls and its text."""
    calls = [f"called {_shortened(_written(call))}" for call in answer.calls]
    text = [f"answered {_shortened(answer.text)}"] if answer.text else [] if calls else ["answered nothing"]
    return [*map(_shortened, answer.faults), *calls, *text]


def _fields(outcome: Outcome) -> Mapping[str, Any]:
    case = outcome.case
    return {
        "source": case.source,
        "number": case.number,
        "prompt": case.prompt,
        "preset": case.preset,
        "variables": dict(case.variables),
        "passed": outcome.passed,
        "pass_rate": case.pass_rate,
        "answers": [
            {
                "seed": answer.seed,
                "passed": not answer.faults,
                "answer": answer.text,
                "calls": [{"name": call.name, "arguments": call.arguments} for call in answer.calls],
                "faults": list(answer.faults),
            }
            for answer in outcome.answers
        ],
    }


def _written(call: ToolCall) -> str:
    arguments = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in call.arguments.items())
    return f"{call.name}({', '.join(arguments)})"


def _shortened(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
