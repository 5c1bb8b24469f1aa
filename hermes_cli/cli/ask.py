"""`hermes ask`: one answer to stdout."""

import json
import re
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.prompt_text import prompt_text
from hermes_cli.errors import LoadCancelled, UsageError
from hermes_cli.formats.segment import joined
from hermes_cli.terminal import console
from hermes_cli.terminal.answer_output import AnswerOutput, Collected, FileOutput, StandardOutput
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping
from hermes_cli.terminal.turn_view import Turn, show_turn, stats_line, tell_cut, tokens_per_second

if TYPE_CHECKING:
    from hermes_cli.cli.opening import ChatSettings
    from hermes_cli.engine.backend import BackendInfo

Form = Literal["text", "json", "code"]
_CODE_BLOCK = re.compile(
    r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})[^\n`]*\n(?P<code>.*?)(?:^ {0,3}(?P=fence)[`~]*[ \t\r]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)


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
    return _answer(text, settings, FileOutput(output) if output else StandardOutput(), form, timeout, stats)


def _refuse_together(options: dict[str, object]) -> None:
    """Raise UsageError where all of these options were given."""
    if all(options.values()):
        raise UsageError(f"{' and '.join(options)} do not go together", "leave one of them out")


def _answer(
    text: str, settings: "ChatSettings", target: AnswerOutput, form: Form, timeout_s: float | None, stats: bool
) -> int:
    """Ask, and write the answer to `target` in the form wanted; the exit code says whether it was stopped."""
    from hermes_cli.cli.opening import open_session

    cancel = CancelToken()
    try:
        with stopping(cancel, timeout_s, leave=target.discard):
            with closing(open_session(settings, cancel)) as session:
                turn = show_turn(session, text, cancel, target if form == "text" else Collected())
            info = session.backend.info
            if turn.empty:
                target.discard()
            else:
                target.write(_late_text(turn, form, info))
                target.finish()
    except LoadCancelled:
        target.discard()
        return EXIT_CODES[cancel.reason or "interrupt"]
    except BaseException:
        target.discard()
        raise
    tell_cut(turn, session)
    if stats or settings.verbose:
        console.notice(stats_line(turn.finished, info.context_length))
    return EXIT_CODES[cancel.reason or "interrupt"] if turn.cancelled else 0


def _late_text(turn: Turn, form: Form, info: "BackendInfo") -> str:
    """What is only known at the end of the answer; plain text is out by then."""
    if form == "json":
        return json.dumps(_envelope(turn, info))
    return code_block(turn.text) if form == "code" else ""


def _envelope(turn: Turn, info: "BackendInfo") -> dict[str, Any]:
    finished = turn.finished
    return {
        "answer": turn.text,
        "finish_reason": finished.reason,
        "model": info.model_name,
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
    found = _CODE_BLOCK.search(answer)
    if not found:
        console.notice("no code block in the answer; this is all of it")
        return answer
    code = re.sub(rf"^ {{0,{len(found['indent'])}}}", "", found["code"], flags=re.MULTILINE)
    return code.removesuffix("\n").removesuffix("\r")


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
