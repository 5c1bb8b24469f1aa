"""Generate the answer of `hermes ask`, write it in the requested form, and determine the exit code."""

import json
import sys
from contextlib import closing, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.ask.answer_form import Form, late_text, problem_with_code, problem_with_data, tools_failed
from hermes_cli.cli.ask.prompt_text import Prompt
from hermes_cli.errors import EXIT_TIMEOUT, ContextOverflow, LoadCancelled, OutputError, ToolFailed
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import AnswerOutput, Collected, StandardOutput
from hermes_cli.terminal.answer.turn_view import (
    context_use,
    print_control_text,
    print_cut,
    print_new_notes,
    print_saving_problem,
    show_answer,
    stats_line,
)
from hermes_cli.terminal.attachments.size import size_line
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.signal_handlers import on_continue
from hermes_cli.values import dataclass

if TYPE_CHECKING:
    from hermes_cli.session.opening import Start
    from hermes_cli.session.session import Session


@dataclass(frozen=True, slots=True)
class Wanted:
    """The requested form of the answer."""

    form: Form
    timeout_s: float | None
    time_left_s: float | None  # what is left of the timeout after reading stdin
    stats: bool
    verbose: bool
    drops_turns: bool
    prefill: str


def answer(prompt: Prompt, start: "Start", target: AnswerOutput, wanted: Wanted) -> int:
    """Generate the answer, and write it to `target` in the requested form; returns the exit code."""
    from hermes_cli.cli.opening import open_session

    cancel, text = CancelToken(), prompt.text
    try:
        with (
            stopping(cancel, wanted.time_left_s, leave=target.discard),
            on_continue(target.resumed),
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
                    session.send(text, cancel, prefill=wanted.prefill),
                    target if wanted.form == "text" else Collected(watched=True),
                )
            except ContextOverflow as too_long:
                at_once = session.conversation is before  # otherwise the tool results are too long
                if at_once and not wanted.drops_turns and session.turns_to_leave_out(text):
                    too_long.hint = f"drop the oldest turns: --overflow drop, or {too_long.hint}"
                raise
            print_new_notes(session.backend.info, known)
            problem = (problem_with_code if wanted.form == "code" else problem_with_data)(shown, session)
            if shown.empty and not (wanted.form == "json" and shown.tool_results):
                target.discard()
            else:
                target.write(late_text(shown, wanted.form, session, problem))
                target.finish()
    except LoadCancelled:
        target.discard()
        return _stopped(cancel, wanted)
    except BaseException:
        with suppress(OSError, OutputError):
            target.break_off()
        raise
    print_cut(shown.finished, session, "raise it with -n" if console.is_terminal(sys.stderr) else "")
    print_saving_problem(session)
    if wanted.stats or wanted.verbose:
        used = context_use(shown.finished.context_tokens, session.backend.info.context_length)
        console.notice(stats_line(shown.finished, used))
    if shown.cancelled:
        return _stopped(cancel, wanted)
    if problem:
        raise problem
    return ToolFailed.exit_code if tools_failed(shown, session) else 0


def _stopped(cancel: CancelToken, wanted: Wanted) -> int:
    """The exit code for a stopped answer; prints a notice if the time limit stopped it."""
    if cancel.reason == "timeout":
        return timed_out(wanted.timeout_s)
    return EXIT_CODES[cancel.reason or "interrupt"]


def timed_out(timeout_s: float | None) -> int:
    """Print that the time limit ended the command; its exit code."""
    console.notice(f"stopped after {timeout_s:g} s: --timeout")
    return EXIT_TIMEOUT


def _make_room(session: "Session", text: str) -> None:
    """Leave out the oldest turns if the context is full."""
    if going := session.turns_to_leave_out(text):
        session.set_state([turn.id for turn in going], "left_out")
        oldest = "the oldest turn" if len(going) == 1 else f"the {len(going)} oldest turns"
        console.notice(f"left out of the context: {oldest}")


def show_prompt(text: str, prefill: str, start: "Start", as_json: bool) -> int:
    """Print the prompt as text, or with token ids and segments as JSON."""
    from hermes_cli.cli.opening import prepare
    from hermes_cli.session.opening import written_prompt

    unconstrained = replace(start, choices=replace(start.choices, constrained=False))  # nothing is generated
    prompt = written_prompt(prepare(unconstrained), text, prefill)
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
        output.finish()
    else:
        output.write(prompt.text)
        output.finish()
        console.notice(f"{prompt.token_count:,} tokens")
    return 0
