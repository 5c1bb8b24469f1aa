"""`hermes ask`: one answer to stdout."""

import json
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.answer_form import Form, late_text, problem_with_data, tools_failed
from hermes_cli.cli.prompt_text import prompt_text
from hermes_cli.errors import ContextOverflow, LoadCancelled, ToolFailed, UsageError
from hermes_cli.formats.segment import joined
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
    show_answer,
    stats_line,
    tell_control_text,
    tell_cut,
    tell_saving_problem,
    window_use,
)
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping

if TYPE_CHECKING:
    from hermes_cli.session.choices import ChatSettings
    from hermes_cli.session.session import Session

Overflow = Literal["error", "drop"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How the answer is to be given."""

    form: Form
    timeout_s: float | None
    stats: bool
    overflow: Overflow


def ask(
    settings: "ChatSettings",
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT...", help="What to ask; a last word - reads stdin.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with answer, usage, timings.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the prompt and its tokens; load no weights.")
    ] = False,
    extract: Annotated[bool, typer.Option("--extract", "-x", help="Only the answer's first code block.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the answer to this file.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="S", min=0.001, max=1e6, help="Stop so many seconds after the prompt is complete."
        ),
    ] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Tell length and speed on stderr.")] = False,
    overflow: Annotated[
        Overflow, typer.Option("--overflow", help="A session longer than the window: fail, or drop its oldest turns.")
    ] = "error",
    each_line: Annotated[
        bool, typer.Option("--map", help="Answer each line of stdin separately; prints one JSON object per line.")
    ] = False,
) -> int:
    """Answer one prompt and leave: words, piped text and files in, the answer and nothing else out.

    Prompt and piped text together: the words, a blank line, then the text. With -f each file follows, named.
    """
    output = None if output == STANDARD_OUTPUT else output
    if each_line:
        _refuse_with_map(settings, {"--json": as_json, "--extract": extract, "--dry-run": dry_run})
        from hermes_cli.cli.map.run import MapWanted, answer_lines

        return answer_lines(settings, prompt or (), MapWanted(output, timeout, stats))
    _refuse_together({"--dry-run": dry_run, "--output": output})
    _refuse_together({"--dry-run": dry_run, "--extract": extract})
    _refuse_together({"--json": as_json, "--extract": extract})
    text = prompt_text(prompt or (), settings.files)
    from hermes_cli.cli.opening import resumed

    settings = resumed(settings)  # only now, when the prompt is complete; the preset of a session may have a schema
    if dry_run:
        return _show_prompt(text, settings, as_json)
    form: Form = "json" if as_json else "data" if settings.schema is not None else "code" if extract else "text"
    target = FileOutput(output) if output else standard_output() if form == "text" else StandardOutput()
    return _answer(text, settings, target, _Wanted(form, timeout, stats, overflow))


def _refuse_together(options: dict[str, object]) -> None:
    """Raise UsageError where all of these options were given."""
    if all(options.values()):
        raise UsageError(f"{' and '.join(options)} do not go together", "leave one of them out")


def _refuse_with_map(settings: "ChatSettings", options: dict[str, bool]) -> None:
    """Raise UsageError for what is about a single answer or a session."""
    for name, given in {**options, "--continue or --session": settings.resume is not None}.items():
        if given:
            raise UsageError(f"{name} does not go with --map", "leave one of them out")


def _answer(text: str, settings: "ChatSettings", target: AnswerOutput, wanted: _Wanted) -> int:
    """Ask, and write the answer to `target` in the form wanted; the exit code says whether it was stopped."""
    from hermes_cli.cli.opening import open_session

    cancel = CancelToken()
    try:
        with (
            stopping(cancel, wanted.timeout_s, leave=target.discard),
            closing(open_session(settings, cancel)) as session,
        ):
            _make_room(session, text, wanted.overflow)
            tell_control_text(session.control_text(text))
            before = session.conversation
            try:
                shown = show_answer(session.send(text, cancel), target if wanted.form == "text" else Collected())
            except ContextOverflow as too_long:
                at_once = session.conversation is before  # else the results of tools are what is too long
                if at_once and wanted.overflow == "error" and session.turns_to_leave_out(text):
                    too_long.hint = f"leave out the oldest turns: --overflow drop, or {too_long.hint}"
                raise
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
    tell_cut(shown.finished, session, "a larger -n lets it go on" if console.is_terminal(sys.stderr) else "")
    tell_saving_problem(session)
    if wanted.stats or settings.verbose:
        window = window_use(shown.finished.window_tokens, session.backend.info.context_length)
        console.notice(stats_line(shown.finished, window))
    if shown.cancelled:
        return _stopped(cancel, wanted)
    if problem := problem_with_data(shown, session):
        raise problem
    return ToolFailed.exit_code if tools_failed(shown, session) else 0


def _stopped(cancel: CancelToken, wanted: _Wanted) -> int:
    """The exit code of who stopped the answer; that the time limit did is told."""
    if cancel.reason == "timeout":
        console.notice(f"stopped after {wanted.timeout_s:g} s: --timeout")
    return EXIT_CODES[cancel.reason or "interrupt"]


def _make_room(session: "Session", text: str, overflow: Overflow) -> None:
    """Leave out what does not fit any more, where that was asked for; else the prompt is refused as a whole."""
    if overflow == "error":
        return
    if going := session.turns_to_leave_out(text):
        session.set_standing([turn.id for turn in going], "left_out")
        oldest = "the oldest turn that was" if len(going) == 1 else f"the oldest {len(going)} turns that were"
        console.notice(f"left out of the window: {oldest} in it")


def _show_prompt(text: str, settings: "ChatSettings", as_json: bool) -> int:
    """What the model would read: as text, or with token ids and segments as JSON."""
    from hermes_cli.cli.opening import written_prompt

    prompt = written_prompt(text, settings)
    output = StandardOutput()
    if as_json:
        facts = {
            "prompt": joined(prompt.segments),
            "tokens": prompt.tokens,
            "token_count": len(prompt.tokens),
            "segments": [asdict(segment) for segment in prompt.segments],
        }
        output.write(json.dumps(facts))
    else:
        output.write(joined(prompt.segments))
        console.notice(f"{len(prompt.tokens):,} tokens")
    output.finish()
    return 0
