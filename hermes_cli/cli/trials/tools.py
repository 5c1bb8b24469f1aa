"""`hermes tools test`: whether a model calls the tools it should; no tool is ever run."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from hermes_cli import paths
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.tool_call import BrokenCall, ToolCall
from hermes_cli.cli import options
from hermes_cli.errors import ContextOverflow, HermesError, LoadCancelled, UsageError, did_you_mean
from hermes_cli.store.settings.settings import load_settings
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import StandardOutput
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.sanitize import one_line

if TYPE_CHECKING:
    from hermes_cli.backend import Backend
    from hermes_cli.cli.trials.tool_cases import ToolCase
    from hermes_cli.session.choices import ChatSettings
    from hermes_cli.tools.toolbox import Toolbox

SEED = 1
LONGEST_ANSWER_TOKENS = 1024  # a model may not know when to stop
_NO_CALL = "no call"
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case, the calls that came and the text beside them, and what is wrong with those."""

    case: "ToolCase"
    calls: Sequence[ToolCall]
    answer: str
    faults: Sequence[str]

    @property
    def groups(self) -> tuple[str, ...]:
        """The tools that the case is about."""
        return tuple(dict.fromkeys(call.name for call in self.case.calls)) or (_NO_CALL,)


def try_cases(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="CASES", help="A YAML or JSON file; without it, cases for the built-in tools."),
    ] = None,
    tools: Annotated[
        list[str] | None, typer.Option("--tools", metavar="FILE|NAME", help="Offer these instead (repeatable).")
    ] = None,
    tool_env: options.ToolVariables = None,
    model: options.Model = None,
    no_constrain: options.Unconstrained = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every call.")] = False,
) -> int:
    """Ask a model what cases ask, and check which tools it calls. Runs no tool; exits 0 only if all is right.

    Each case is a conversation of its own, the model is loaded once, the seed is always the same.
    """
    from hermes_cli.tools.toolbox import load_toolbox

    cases, sources = _chosen(file, tools or ())
    cancel = CancelToken()
    outcomes: list[Outcome] = []
    with (
        stopping(cancel, leave=lambda: None),
        suppress(LoadCancelled),
        load_toolbox(sources, tool_env or (), cancel) as toolbox,
    ):
        cases = _checked(cases, toolbox, fitting=file is None and bool(tools))
        report = _JsonReport(not no_constrain) if as_json else _TextReport()
        outcomes = _run(cases, toolbox, model, report, cancel, constrained=not no_constrain)
    if cancel.reason:
        return EXIT_CODES[cancel.reason]
    return 0 if all(not outcome.faults for outcome in outcomes) else HermesError.exit_code


def _chosen(file: Path | None, tools: Sequence[str]) -> tuple[Sequence["ToolCase"], Sequence[str]]:
    """The cases, and the tools to offer. Raises UsageError."""
    from hermes_cli.cli.trials.tool_cases import read_cases
    from hermes_cli.tools.toolbox import built_in_names

    found = read_cases(file or paths.TOOL_CASES)
    return found.cases, tools or found.tools or built_in_names()


def _checked(cases: Sequence["ToolCase"], toolbox: "Toolbox", *, fitting: bool) -> Sequence["ToolCase"]:
    """The cases, of which those that are not about these tools stay out where only `fitting` ones are meant.

    Raises UsageError for a case that no call could satisfy.
    """
    if fitting:
        cases = [case for case in cases if all(call.name in toolbox.tools for call in case.calls)]
        if not any(case.calls for case in cases):
            there_are = ", ".join(toolbox.tools)
            raise UsageError(
                f"there are no cases for {there_are}", "write some: hermes tools test CASES.yaml --tools ..."
            )
    for number, case in enumerate(cases, 1):
        for call in case.calls:
            if call.name not in toolbox.tools:
                hint = did_you_mean(call.name, toolbox.tools, "offer it with --tools, or below tools in the case file")
                raise UsageError(f"case {number} expects a call of {call.name}, which is none of the tools", hint)
            parameters = toolbox.tools[call.name].parameters
            known = parameters.get("properties") or {}
            unknown = [name for name in (*call.arguments, *call.schemas) if name not in known]
            if unknown and not parameters.get("additionalProperties", False):
                hint = did_you_mean(unknown[0], known, f"see what it takes: hermes tools show {call.name}")
                raise UsageError(f"case {number} expects the argument {unknown[0]}, which {call.name} has not", hint)
    return cases


def _run(
    cases: Sequence["ToolCase"],
    toolbox: "Toolbox",
    model: str | None,
    report: "_Report",
    cancel: CancelToken,
    *,
    constrained: bool,
) -> list[Outcome]:
    """Ask one case after another and print what comes of it; a cancel ends it early."""
    from hermes_cli.cli.opening import open_session
    from hermes_cli.session.choices import ChatSettings, with_defaults

    defaults = load_settings()
    load = replace(options.load_options(defaults), kv_store_bytes=0)
    settings = with_defaults(
        ChatSettings(model=model, load=load, save=False, defaults=defaults, constrained=constrained)
    )
    outcomes: list[Outcome] = []
    status = console.StatusLine()
    with closing(open_session(settings, cancel)) as session:
        report.begin(session.backend.info.model_name)
        for number, case in enumerate(cases, 1):
            status.show(f"case {number}/{len(cases)}")
            try:
                outcome = _outcome(session.backend, settings, toolbox, case, cancel)
            finally:
                status.erase()
            if cancel.cancelled:
                return outcomes
            outcomes.append(outcome)
            report.add(number, outcome)
    report.end(outcomes)
    return outcomes


def _outcome(
    backend: "Backend", settings: "ChatSettings", toolbox: "Toolbox", case: "ToolCase", cancel: CancelToken
) -> Outcome:
    """What the model calls in a conversation of its own, offered the tools as in use."""
    from hermes_cli.formats.function_calling import offer
    from hermes_cli.formats.tool_call_parser import ToolCallParser

    request = GenerationRequest(
        (Message("system", offer(toolbox.schemas)), Message("user", case.prompt)),
        replace(settings.sampling, seed=SEED),
        settings.max_tokens or LONGEST_ANSWER_TOKENS,
        tools=toolbox.schemas,
        constrained=settings.constrained,
    )
    parser, found, ended = ToolCallParser(), list[str | ToolCall | BrokenCall](), False
    try:
        with closing(backend.generate(request, cancel)) as events:
            for event in events:
                match event:
                    case TextDelta(piece):
                        found += parser.feed(piece)
                    case Finished(reason):
                        ended = reason == "stop"
    except ContextOverflow as problem:
        return Outcome(case, (), "", [f"it could not be asked: {problem.message}"])
    found += parser.finish(ended=ended)
    calls = [one for one in found if isinstance(one, ToolCall)]
    broken = [f"a call cannot be read: {one.problem}" for one in found if isinstance(one, BrokenCall)]
    parameters = {name: tool.parameters for name, tool in toolbox.tools.items()}
    answer = "".join(one if isinstance(one, str) else one.text for one in found if not isinstance(one, ToolCall))
    return Outcome(case, calls, answer.strip(), [*broken, *case.faults(calls, parameters)])


def _rates(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, int, int]]:
    """Of each tool and of all together: how many cases were right, of how many."""
    asked = Counter(group for outcome in outcomes for group in outcome.groups)
    right = Counter(group for outcome in outcomes for group in outcome.groups if not outcome.faults)
    for group in sorted(asked, key=lambda name: (name == _NO_CALL, name)):
        yield group, right[group], asked[group]
    yield "all", sum(not outcome.faults for outcome in outcomes), len(outcomes)


class _Report(Protocol):
    def begin(self, model_name: str) -> None: ...

    def add(self, number: int, outcome: Outcome) -> None: ...

    def end(self, outcomes: Sequence[Outcome]) -> None: ...


class _TextReport:
    """A line for the model and for each case, more for a wrong one, and a table of rates."""

    def __init__(self) -> None:
        self._output = StandardOutput()

    def begin(self, model_name: str) -> None:
        """Say which model answers."""
        self._output.write(f"model: {one_line(model_name)}, seed {SEED}\n")

    def add(self, number: int, outcome: Outcome) -> None:
        """A case as soon as it is known."""
        lines = [f"{'FAIL' if outcome.faults else 'pass'}  {number:>3}  {_shortened(outcome.case.prompt)}"]
        if outcome.faults:
            lines += [f"           {_shortened(fault)}" for fault in outcome.faults]
            lines += [f"           called {_shortened(_written(call))}" for call in outcome.calls]
            lines += [] if outcome.calls else [f"           said {_shortened(outcome.answer) or 'nothing'}"]
        self._output.write("\n".join(lines) + "\n")

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """The rates."""
        rows = list(_rates(outcomes))
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{one_line(name):<{width}}  {right}/{asked}  {right / asked:.0%}" for name, right, asked in rows]
        self._output.write("\n".join(["", *lines]) + "\n")


class _JsonReport:
    """One object when everything is known."""

    def __init__(self, constrained: bool) -> None:
        self._constrained = constrained
        self._model_name = ""

    def begin(self, model_name: str) -> None:
        """Remember which model answers."""
        self._model_name = model_name

    def add(self, number: int, outcome: Outcome) -> None:
        """The outcomes come again at the end."""

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """Print it."""
        *tools, (_, passed, total) = _rates(outcomes)
        facts = {
            "model": self._model_name,
            "seed": SEED,
            "constrained": self._constrained,
            "passed": passed,
            "total": total,
            "tools": [{"name": name, "passed": right, "total": asked} for name, right, asked in tools],
            "cases": [_fields(outcome) for outcome in outcomes],
        }
        StandardOutput().write(json.dumps(facts) + "\n")


def _fields(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "prompt": outcome.case.prompt,
        "expected": [call.name for call in outcome.case.calls],
        "calls": [{"name": call.name, "arguments": call.arguments} for call in outcome.calls],
        "answer": outcome.answer,
        "passed": not outcome.faults,
        "faults": list(outcome.faults),
    }


def _written(call: ToolCall) -> str:
    arguments = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in call.arguments.items())
    return f"{call.name}({', '.join(arguments)})"


def _shortened(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
