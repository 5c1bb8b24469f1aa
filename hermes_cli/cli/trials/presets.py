"""`hermes presets test`: every preset's own examples, asked of one model and checked."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.request import CancelToken
from hermes_cli.cli import options
from hermes_cli.errors import ContextOverflow, HermesError, LoadCancelled, UsageError
from hermes_cli.store.settings.settings import load_settings
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import Collected, StandardOutput
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.sanitize import one_line

if TYPE_CHECKING:
    from hermes_cli.backend import Backend
    from hermes_cli.session.choices import ChatSettings
    from hermes_cli.session.session import Session
    from hermes_cli.session.turn_loop import ToolUse
    from hermes_cli.store.presets.examples import Example
    from hermes_cli.store.presets.presets import Preset
    from hermes_cli.tools.approval import Policy

SEED = 1
LONGEST_ANSWER_TOKENS = 1024  # where a preset sets no limit: a model may not know when to stop
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """An example, what came of it, and what is wrong with that."""

    example: "Example"
    answer: str
    faults: Sequence[str]


def try_examples(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Only these presets.")] = None,
    model: options.Model = None,
    yes: options.AllowAll = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every answer.")] = False,
) -> int:
    """Ask a model the examples of presets and check the answers. Exits 0 only if all are right.

    The model is loaded once, the seed is always the same; a preset's own sampling counts, its own model does not.
    Its tools run where they only read, and others where that is allowed.
    """
    presets, problems = _chosen(names or ())
    for problem in problems:
        console.notice(f"left out: {problem.message}; {problem.hint}")
    cancel = CancelToken()
    try:
        with stopping(cancel, leave=lambda: None):
            results = _run(presets, model, as_json, "yes" if yes else "ask", cancel)
    except LoadCancelled:
        results = []
    if cancel.reason:
        return EXIT_CODES[cancel.reason]
    right = all(not outcome.faults for outcomes in results for outcome in outcomes)
    return 0 if right and not problems else HermesError.exit_code


def _chosen(names: Sequence[str]) -> tuple[list["Preset"], list[UsageError]]:
    """The presets to test, and what is wrong with others. Raises UsageError where there is nothing to test."""
    from hermes_cli.store.presets.presets import all_presets, find_preset

    presets, problems = all_presets() if not names else ([find_preset(name) for name in dict.fromkeys(names)], [])
    silent = [preset.name for preset in presets if not preset.examples]
    if silent and (names or len(silent) == len(presets)):
        raise UsageError(f"the preset {silent[0]} has no examples", f"write some: hermes presets edit {silent[0]}")
    if silent:
        console.notice(f"without examples: {', '.join(silent)}")
    return [preset for preset in presets if preset.examples], problems


def _run(
    presets: Sequence["Preset"], model: str | None, as_json: bool, policy: "Policy", cancel: CancelToken
) -> list[list[Outcome]]:
    """Test the presets one after another and print what comes of it; a cancel ends it early."""
    from hermes_cli.cli.opening import open_session
    from hermes_cli.session.choices import ChatSettings, ToolSettings

    defaults = load_settings()
    load = replace(options.load_options(defaults), kv_store_bytes=0)
    settings = ChatSettings(
        model=model or defaults.model,
        load=load,
        save=False,
        defaults=defaults,
        tools=ToolSettings(policy=policy),
    )
    report = _JsonReport() if as_json else _TextReport(max(len(preset.name) for preset in presets))
    results: list[list[Outcome]] = []
    with closing(open_session(settings, cancel)) as session:
        report.begin(session.backend.info.model_name)
        for preset in presets:
            results.append(list(_outcomes(session.backend, settings, preset, cancel)))
            if cancel.cancelled:
                return results
            report.add(preset.name, results[-1])
    report.end()
    return results


def _outcomes(backend: "Backend", settings: "ChatSettings", preset: "Preset", cancel: CancelToken) -> Iterator[Outcome]:
    from hermes_cli.terminal.consent import tool_use

    status = console.StatusLine()
    with ExitStack() as on_leaving:
        tools = tool_use(preset.tools, policy=settings.tools.policy) if preset.tools else None
        if tools:
            on_leaving.callback(tools.toolbox.close)
        for number, example in enumerate(preset.examples, 1):
            status.show(f"{preset.name} {number}/{len(preset.examples)}")
            try:
                answer = _answer(_asked(backend, settings, preset, example, tools), example.input, cancel)
                outcome = Outcome(example, answer, example.faults(answer))
            except ContextOverflow as problem:
                outcome = Outcome(example, "", [f"could not be given: {problem.message}"])
            finally:
                status.erase()
            if cancel.cancelled:
                return
            yield outcome


def _asked(
    backend: "Backend", settings: "ChatSettings", preset: "Preset", example: "Example", tools: "ToolUse | None"
) -> "Session":
    """A session of its own for the example, as the preset would have it."""
    from hermes_cli.chat.settings import SessionSettings
    from hermes_cli.session.choices import with_defaults, with_preset
    from hermes_cli.session.session import Session

    asked = with_defaults(with_preset(settings, preset.name, example.variables))
    led = SessionSettings(
        sampling=replace(asked.sampling, seed=SEED), max_tokens=asked.max_tokens or LONGEST_ANSWER_TOKENS
    )
    return Session(
        backend,
        Conversation(asked.system_prompt),
        settings=led,
        tools=tools,
        schema=asked.schema,
        most_repairs=asked.most_repairs,
    )


def _answer(session: "Session", text: str, cancel: CancelToken) -> str:
    from hermes_cli.cli.answer_form import final_text
    from hermes_cli.terminal.answer.turn_view import show_answer

    return final_text(show_answer(session.send(text, cancel), Collected()), session)


class _TextReport:
    """A line for the model, one for each preset, two for each wrong answer, and the sum."""

    def __init__(self, width: int) -> None:
        self._output, self._width = StandardOutput(), max(width, len("all"))
        self._right = self._asked = 0

    def begin(self, model_name: str) -> None:
        """Say which model answers."""
        self._output.write(f"model: {one_line(model_name)}, seed {SEED}\n")

    def add(self, name: str, outcomes: Sequence[Outcome]) -> None:
        """One preset's examples."""
        right = sum(not outcome.faults for outcome in outcomes)
        self._right, self._asked = self._right + right, self._asked + len(outcomes)
        lines = [self._line(name, right, len(outcomes))]
        for number, outcome in enumerate(outcomes, 1):
            if outcome.faults:
                lines.append(f"  example {number}: the answer {' and '.join(map(one_line, outcome.faults))}")
                lines.append(f"    {_shortened(outcome.answer)}")
        self._output.write("\n".join(lines) + "\n")

    def end(self) -> None:
        """The sum."""
        self._output.write(self._line("all", self._right, self._asked) + "\n")

    def _line(self, name: str, right: int, asked: int) -> str:
        return f"{name:<{self._width}}  {right}/{asked}  {right / asked:.0%}"


class _JsonReport:
    """One object when everything is known."""

    def __init__(self) -> None:
        self._presets: list[dict[str, Any]] = []
        self._model_name = ""

    def begin(self, model_name: str) -> None:
        """Remember which model answers."""
        self._model_name = model_name

    def add(self, name: str, outcomes: Sequence[Outcome]) -> None:
        """One preset's examples."""
        examples = [
            {
                "input": outcome.example.input,
                "variables": dict(outcome.example.variables),
                "answer": outcome.answer,
                "passed": not outcome.faults,
                "faults": list(outcome.faults),
            }
            for outcome in outcomes
        ]
        right = sum(not outcome.faults for outcome in outcomes)
        self._presets.append({"name": name, "passed": right, "total": len(outcomes), "examples": examples})

    def end(self) -> None:
        """Print it."""
        passed, total = (sum(preset[key] for preset in self._presets) for key in ("passed", "total"))
        facts = {"model": self._model_name, "seed": SEED, "passed": passed, "total": total, "presets": self._presets}
        StandardOutput().write(json.dumps(facts) + "\n")


def _shortened(answer: str) -> str:
    shown = one_line(answer)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
