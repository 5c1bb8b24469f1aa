"""`hermes ask`: one answer to stdout."""

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.prompt_text import prompt_text
from hermes_cli.errors import LoadCancelled, UsageError
from hermes_cli.formats.code_block import code_blocks
from hermes_cli.formats.segment import joined
from hermes_cli.terminal import console
from hermes_cli.terminal.answer_output import AnswerOutput, Collected, FileOutput, StandardOutput, standard_output
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.turn_view import (
    ShownAnswer,
    show_answer,
    stats_line,
    tell_control_text,
    tell_cut,
    tell_saving_problem,
    tokens_per_second,
)

if TYPE_CHECKING:
    from hermes_cli.cli.opening import ChatSettings
    from hermes_cli.engine.backend import BackendInfo
    from hermes_cli.session import Session

Form = Literal["text", "json", "code"]
Overflow = Literal["error", "drop"]


def ask(
    settings: "ChatSettings",
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to ask; a last word - reads stdin.")
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
) -> int:
    """Answer one prompt and leave: words, piped text and files in, the answer and nothing else out.

    Prompt and piped text together: the words, a blank line, then the text. With -f each file follows, named.
    """
    _refuse_together({"--dry-run": dry_run, "--output": output})
    _refuse_together({"--dry-run": dry_run, "--extract": extract})
    _refuse_together({"--json": as_json, "--extract": extract})
    text = prompt_text(prompt or (), settings.files)
    if dry_run:
        return _show_prompt(text, settings, as_json)
    form: Form = "json" if as_json else "code" if extract else "text"
    target = FileOutput(output) if output else standard_output() if form == "text" else StandardOutput()
    return _answer(text, settings, target, form, timeout, stats, overflow)


def _refuse_together(options: dict[str, object]) -> None:
    """Raise UsageError where all of these options were given."""
    if all(options.values()):
        raise UsageError(f"{' and '.join(options)} do not go together", "leave one of them out")


def _answer(
    text: str,
    settings: "ChatSettings",
    target: AnswerOutput,
    form: Form,
    timeout_s: float | None,
    stats: bool,
    overflow: Overflow,
) -> int:
    """Ask, and write the answer to `target` in the form wanted; the exit code says whether it was stopped."""
    from hermes_cli.cli.opening import open_session

    cancel = CancelToken()
    try:
        with stopping(cancel, timeout_s, leave=target.discard):
            with closing(open_session(settings, cancel)) as session:
                _make_room(session, text, overflow)
                tell_control_text(session.control_text(text))
                turn = show_answer(session.send(text, cancel), target if form == "text" else Collected())
                saved_as = session.transcript.id if session.transcript else None
            info = session.backend.info
            if turn.empty:
                target.discard()
            else:
                target.write(_late_text(turn, form, info, saved_as))
                target.finish()
    except LoadCancelled:
        target.discard()
        return EXIT_CODES[cancel.reason or "interrupt"]
    except BaseException:
        target.discard()
        raise
    tell_cut(turn.finished, session)
    tell_saving_problem(session)
    if stats or settings.verbose:
        console.notice(stats_line(turn.finished, info.context_length))
    return EXIT_CODES[cancel.reason or "interrupt"] if turn.cancelled else 0


def _make_room(session: "Session", text: str, overflow: Overflow) -> None:
    """Leave out what does not fit any more, where that was asked for; else the prompt is refused as a whole."""
    if overflow == "error":
        return
    if going := session.turns_to_leave_out(text):
        session.set_standing([turn.id for turn in going], "left_out")
        console.notice(f"left out of the window: the oldest {len(going)} turns that were in it")


def _late_text(turn: ShownAnswer, form: Form, info: "BackendInfo", saved_as: str | None) -> str:
    """What is only known at the end of the answer; plain text is out by then."""
    if form == "json":
        return json.dumps(_envelope(turn, info, saved_as))
    return code_block(turn.text) if form == "code" else ""


def _envelope(turn: ShownAnswer, info: "BackendInfo", saved_as: str | None) -> dict[str, Any]:
    finished = turn.finished
    return {
        "answer": turn.text,
        "finish_reason": finished.reason,
        "model": info.model_name,
        "session": saved_as,
        "seed": finished.seed,
        "usage": asdict(finished.usage),
        "timings": {
            "load_ms": round(info.load_s * 1000, 1),
            "first_token_ms": round(finished.timings.first_token_s * 1000, 1),
            "tokens_per_second": round(tokens_per_second(finished), 1),
        },
    }


def code_block(answer: str) -> str:
    """The inside of the first fenced code block; without one the whole answer, with a notice."""
    blocks = code_blocks(answer)
    if not blocks:
        console.notice("no code block in the answer; this is all of it")
        return answer
    return blocks[0]


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
