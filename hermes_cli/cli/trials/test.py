"""`hermes test`: ask a model prompts with known answers, and check what it says and which tools it calls."""

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hermes_cli import paths
from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.options import options
from hermes_cli.errors import HermesError, LoadCancelled, UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping

if TYPE_CHECKING:
    from hermes_cli.cli.trials.cases import Case
    from hermes_cli.cli.trials.report import Report
    from hermes_cli.cli.trials.runner import Outcome, Runner
app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def test(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="YAML files of cases.")] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option("--preset", "-p", metavar="NAME", help="Test the examples of this preset (repeatable)."),
    ] = None,
    tools: Annotated[
        list[str] | None,
        typer.Option(
            "--tools", metavar="FILE|NAME", help="Offer these tools instead of those in the case files (repeatable)."
        ),
    ] = None,
    tool_env: options.ToolVariables = None,
    model: options.Model = None,
    endpoint: options.EndpointUrl = None,
    lora: options.Lora = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            "--repeats", metavar="N", callback=options.within("--repeats", 1, 1000), help="Run every case N times."
        ),
    ] = None,
    no_constrain: options.Unconstrained = False,
    yes: options.AllowAll = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every answer.")] = False,
) -> int:
    """Check the answers and tool calls of a model against test cases.

    Exits 1 if a case fails.

    Without FILE and --preset, runs the bundled cases for the built-in tools. Tools are executed only in cases that
    check the text of the answer.
    """
    from hermes_cli.cli.trials.report import JsonReport, TextReport
    from hermes_cli.cli.trials.runner import Runner, base_layers
    from hermes_cli.session.choices import Choices, Loading

    cases = _chosen(files or (), preset or (), tools or ())
    if repeats:
        cases = [replace(case, repeats=repeats) for case in cases]
    cancel = CancelToken()
    outcomes: list[Outcome] = []
    with stopping(cancel, leave=lambda: None), suppress(LoadCancelled):
        given = Choices(
            model=model,
            endpoint=endpoint,
            save=False,
            tool_policy="yes" if yes else "ask",
            tool_variables=tuple(tool_env or ()),
            constrained=not no_constrain,
            load=Loading(lora=tuple(lora or ()) or None),
        )
        with closing(Runner(cases, base_layers(given), cancel)) as runner:
            report: Report = (
                JsonReport(constrained=not no_constrain) if as_json else TextReport([case.label for case in cases])
            )
            outcomes = _run(runner, cases, report, cancel)
    if cancel.reason:
        return EXIT_CODES[cancel.reason]
    return 0 if all(outcome.passed for outcome in outcomes) else HermesError.exit_code


def _chosen(files: Sequence[Path], presets: Sequence[str], tools: Sequence[str]) -> list["Case"]:
    """The cases of the files and presets, else the bundled ones for `tools`. Raises UsageError."""
    from hermes_cli.cli.trials.case_file import preset_cases, read_cases

    cases = [case for file in dict.fromkeys(files) for case in read_cases(file)]
    for name in dict.fromkeys(presets):
        found = preset_cases(name)
        if not found:
            raise UsageError(f"the preset {name} has no examples", f"write some: hermes presets edit {name}")
        cases += found
    if not files and not presets:
        cases = _bundled(tools)
    return [replace(case, tools=tuple(tools)) for case in cases] if tools else cases


def _bundled(tools: Sequence[str]) -> list["Case"]:
    """The bundled cases that expect only calls of these built-in tools, if any are named. Raises UsageError."""
    from hermes_cli.cli.trials.case_file import read_cases

    cases = read_cases(paths.TOOL_CASES)
    names = {tool.partition(":")[0] for tool in tools}
    if not names:
        return cases
    fitting = [case for case in cases if names.issuperset(call.name for call in case.expected.calls or ())]
    if not any(case.expected.calls for case in fitting):
        hint = "write some: hermes test CASES.yaml --tools ...; the format is in docs/testing.md"
        raise UsageError(f"there are no bundled cases for {', '.join(tools)}", hint)
    return fitting


def _run(runner: "Runner", cases: Sequence["Case"], report: "Report", cancel: CancelToken) -> list["Outcome"]:
    """Ask the cases and print the outcomes; a cancel ends it early."""
    outcomes: list[Outcome] = []
    status = console.StatusLine()
    with closing(runner.open()) as session:
        report.begin(session.backend.info.model_name)
        try:
            status.show(f"case 1/{len(cases)}")
            for outcome in runner.outcomes(session.backend):
                status.erase()
                outcomes.append(outcome)
                report.add(outcome)
                status.show(f"case {min(len(outcomes) + 1, len(cases))}/{len(cases)}")
        finally:
            status.erase()
    if not cancel.cancelled:
        report.end(outcomes)
    return outcomes
