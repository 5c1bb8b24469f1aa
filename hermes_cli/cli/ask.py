"""`hermes ask`: one answer to stdout."""

import json
import sys
import time
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hermes_cli.chat.request import MOST_ROUNDS, CancelToken
from hermes_cli.cli import options
from hermes_cli.cli.answer_form import Form, late_text, problem_with_code, problem_with_data, tools_failed
from hermes_cli.cli.given import given as given_options
from hermes_cli.cli.help_page import GroupedCommand
from hermes_cli.cli.prompt_text import Prompt, read_prompt
from hermes_cli.errors import EXIT_TIMEOUT, ContextOverflow, LoadCancelled, ToolFailed, UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import (
    STANDARD_OUTPUT,
    AnswerOutput,
    Collected,
    FileOutput,
    StandardOutput,
    standard_output,
)
from hermes_cli.terminal.answer.turn_view import (
    print_control_text,
    print_cut,
    print_new_notes,
    print_saving_problem,
    show_answer,
    stats_line,
    window_use,
)
from hermes_cli.terminal.attachments.size import size_line
from hermes_cli.terminal.attachments.text_file import text_or_file
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.session.opening import Start
    from hermes_cli.session.session import Session

EXAMPLES = """\b
Examples:
  hermes ask "Why is the sky blue?"
  git diff | hermes ask -p commit
  hermes ask --schema 'name, age int' -f letter.txt "Who wrote this?"
"""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How to write the answer."""

    form: Form
    timeout_s: float | None
    time_left_s: float | None  # of the timeout, after reading stdin
    stats: bool
    verbose: bool
    drops_turns: bool
    prefill: str


app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(cls=GroupedCommand, epilog=EXAMPLES)
def ask(
    context: typer.Context,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT...", help="The prompt; - as its last word reads stdin.")
    ] = None,
    model: options.Model = None,
    endpoint: options.EndpointUrl = None,
    endpoint_mode: options.EndpointMode = None,
    extra_body: options.ExtraBody = None,
    preset: options.Preset = None,
    var: options.Variables = None,
    system: options.System = None,
    file: options.Files = None,
    continue_last: options.Continue = False,
    session: options.SessionName = None,
    no_save: options.NoSave = False,
    overflow: options.OverflowChoice = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    repeat_penalty: options.RepeatPenalty = None,
    seed: options.Seed = None,
    max_tokens: options.MaxTokens = None,
    stop: options.Stop = None,
    prefill: Annotated[
        str,
        typer.Option(
            "--prefill",
            metavar="TEXT",
            help="Begin the answer with TEXT; @FILE reads it.",
            rich_help_panel=options.PROMPT,
        ),
    ] = "",
    tools: options.Tools = None,
    mcp: options.Mcp = None,
    tools_only: options.ToolsOnly = None,
    tools_match: options.ToolsMatch = None,
    tool_env: options.ToolVariables = None,
    tool_choice: options.ToolChoice = "auto",
    max_rounds: options.MaxRounds = MOST_ROUNDS,
    tool_timeout: options.ToolTimeout = None,
    yes: options.AllowAll = False,
    deny: options.DenyAll = False,
    schema: options.SchemaText = None,
    no_constrain: options.Unconstrained = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON object with answer, usage and timings.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    extract: Annotated[
        bool,
        typer.Option(
            "--extract", "-x", help="Print only the first code block of the answer.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the answer to this file.", rich_help_panel=options.OUTPUT
        ),
    ] = None,
    each_line: Annotated[
        bool,
        typer.Option(
            "--map",
            help="Answer each line of stdin separately; print one JSON object per line.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the prompt and its number of tokens without loading the model.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="S",
            callback=options.within("--timeout", 0.001, 1e6),
            help="Stop after S seconds, waiting for stdin included.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    stats: Annotated[
        bool,
        typer.Option("--stats", help="Print length and speed to stderr.", rich_help_panel=options.OUTPUT),
    ] = False,
    color: options.ColorChoice = None,
    verbose: options.Verbose = False,
    ctx: options.ContextLength = None,
    gpu_layers: options.GpuLayers = None,
    kv_type: options.CacheType = None,
    threads: options.Threads = None,
    speculate: options.Speculate = None,
    template: options.Template = None,
    lora: options.Lora = None,
) -> int:
    """Answer one prompt and exit. Reads words, piped text and files; prints only the answer.

    The prompt is the words, a blank line, the text on stdin, then each file of -f with its name. stdin is read if it
    is a pipe, a socket or a file, or if the last word is -. In a loop over lines of stdin, add < /dev/null.
    """
    given = given_options(context)
    output = None if output == STANDARD_OUTPUT else output
    if each_line:
        resumed = given.resume is not None
        _refuse_with_map(
            {
                "--prefill": bool(prefill),
                "--json": as_json,
                "--extract": extract,
                "--dry-run": dry_run,
                "--continue or --session": resumed,
            }
        )
        from hermes_cli.cli.map.run import MapWanted, answer_lines

        return answer_lines(given, prompt or (), MapWanted(output, timeout, stats))
    _refuse_together({"--dry-run": dry_run, "--output": output})
    _refuse_together({"--dry-run": dry_run, "--extract": extract})
    _refuse_together({"--json": as_json, "--extract": extract})
    if continue_last and prompt and prompt[0].removesuffix("k").isdecimal():
        console.notice(f"-c continues the last session; the context length is --ctx {prompt[0]}")
    started = time.monotonic()
    try:
        whole = read_prompt(prompt or (), given.files, timeout)
    except TimeoutError:
        return _timed_out(timeout)
    left = None if timeout is None else max(timeout - (time.monotonic() - started), 0.001)
    from hermes_cli.session.opening import begin

    # Only now, when the prompt is complete: another hermes may write the session while it pipes into this one.
    start = begin(given.layers, given.resume)
    if dry_run:
        return _show_prompt(whole.text, start, as_json)
    has_schema = start.choices.schema is not None
    form: Form = "json" if as_json else "data" if has_schema else "code" if extract else "text"
    target = FileOutput(output) if output else standard_output() if form == "text" else StandardOutput()
    begin_with = text_or_file(prefill) or start.choices.prefill or ""
    drops = start.choices.overflow == "drop"
    wanted = _Wanted(form, timeout, left, stats, given.verbose, drops, begin_with)
    return _answer(whole, start, target, wanted)


def _refuse_together(options: dict[str, object]) -> None:
    """Raise UsageError where all of these options were given."""
    if all(options.values()):
        raise UsageError(f"{' and '.join(options)} cannot be used together", "omit one of them")


def _refuse_with_map(options: dict[str, bool]) -> None:
    """Raise UsageError for options of a single answer or a session."""
    for name, given in options.items():
        if given:
            raise UsageError(f"{name} cannot be used with --map", "omit one of them")


def _answer(prompt: Prompt, start: "Start", target: AnswerOutput, wanted: _Wanted) -> int:
    """Ask, and write the answer to `target` in the form wanted; returns the exit code."""
    from hermes_cli.cli.opening import open_session

    cancel, text = CancelToken(), prompt.text
    try:
        with (
            stopping(cancel, wanted.time_left_s, leave=target.discard),
            closing(open_session(start, cancel, verbose=wanted.verbose)) as session,
        ):
            if prompt.attachments and (wanted.verbose or console.is_terminal(sys.stderr)):
                console.notice(f"attached: {size_line(prompt.attachments, session.backend)}")
            if wanted.drops_turns:
                _make_room(session, text)
            print_control_text(session.control_text(text))
            before, known = session.conversation, session.backend.info
            try:
                shown = show_answer(
                    session.send(text, cancel, prefill=wanted.prefill), target if wanted.form == "text" else Collected()
                )
            except ContextOverflow as too_long:
                at_once = session.conversation is before  # otherwise the tool results are too long
                if at_once and not wanted.drops_turns and session.turns_to_leave_out(text):
                    too_long.hint = f"drop the oldest turns: --overflow drop, or {too_long.hint}"
                raise
            print_new_notes(session.backend.info, known)
            if shown.empty and not (wanted.form == "json" and shown.tool_results):
                target.discard()
            else:
                target.write(late_text(shown, wanted.form, session))
                target.finish()
    except LoadCancelled:
        target.discard()
        return _stopped(cancel, wanted)
    except BaseException:
        target.discard()
        raise
    print_cut(shown.finished, session, "raise it with -n" if console.is_terminal(sys.stderr) else "")
    print_saving_problem(session)
    if wanted.stats or wanted.verbose:
        window = window_use(shown.finished.window_tokens, session.backend.info.context_length)
        console.notice(stats_line(shown.finished, window))
    if shown.cancelled:
        return _stopped(cancel, wanted)
    problem = problem_with_code(shown, session) if wanted.form == "code" else problem_with_data(shown, session)
    if problem:
        raise problem
    return ToolFailed.exit_code if tools_failed(shown, session) else 0


def _stopped(cancel: CancelToken, wanted: _Wanted) -> int:
    """The exit code for a stopped answer; prints a notice if the time limit stopped it."""
    if cancel.reason == "timeout":
        return _timed_out(wanted.timeout_s)
    return EXIT_CODES[cancel.reason or "interrupt"]


def _timed_out(timeout_s: float | None) -> int:
    console.notice(f"stopped after {timeout_s:g} s: --timeout")
    return EXIT_TIMEOUT


def _make_room(session: "Session", text: str) -> None:
    """Leave out the oldest turns if they do not fit."""
    if going := session.turns_to_leave_out(text):
        session.set_state([turn.id for turn in going], "left_out")
        oldest = "the oldest turn" if len(going) == 1 else f"the {len(going)} oldest turns"
        console.notice(f"left out of the context: {oldest}")


def _show_prompt(text: str, start: "Start", as_json: bool) -> int:
    """Print the prompt as text, or with token ids and segments as JSON."""
    from hermes_cli.cli.opening import prepare
    from hermes_cli.session.opening import written_prompt

    unconstrained = replace(start, choices=replace(start.choices, constrained=False))  # nothing is generated
    prompt = written_prompt(prepare(unconstrained), text)
    print_control_text(prompt.control_text)
    output = StandardOutput()
    if as_json:
        adapters = prompt.adapters
        local = prompt.tokens is not None and prompt.segments is not None
        facts: dict[str, object] = {
            "prompt": prompt.text,
            **({"lora": [{"path": str(one.path), "scale": one.scale} for one in adapters]} if adapters else {}),
            **({"tokens": prompt.tokens} if local else {}),
            "token_count": prompt.token_count,
            **({"segments": [asdict(segment) for segment in prompt.segments or ()]} if local else {}),
        }
        output.write(json.dumps(facts))
    else:
        output.write(prompt.text)
        console.notice(f"{prompt.token_count:,} tokens")
    output.finish()
    return 0
