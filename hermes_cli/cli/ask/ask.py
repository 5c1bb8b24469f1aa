"""`hermes ask`: one answer to stdout."""

import time
from pathlib import Path
from typing import Annotated

import typer

from hermes_cli.chat.sampling import SAMPLING_KEYS
from hermes_cli.cli.ask.answer_form import Form
from hermes_cli.cli.ask.one_answer import Wanted, answer, show_prompt, timed_out
from hermes_cli.cli.ask.prompt_text import read_prompt
from hermes_cli.cli.options import options
from hermes_cli.cli.options.answering import AnsweringCommand
from hermes_cli.cli.options.given import given as given_options
from hermes_cli.errors import UsageError
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import STANDARD_OUTPUT, FileOutput, StandardOutput, standard_output
from hermes_cli.terminal.attachments.text_file import text_or_file
from hermes_cli.terminal.interrupts import TimeIsUp, time_limit

EXAMPLES = """\b
Examples:
  hermes ask "Why is the sky blue?"
  git diff | hermes ask -p commit
  hermes ask --schema 'name, age int' -f letter.txt "Who wrote this?"
"""


app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(cls=AnsweringCommand, epilog=EXAMPLES)
def ask(
    context: typer.Context,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT...", help="The prompt; if the last word is -, stdin is read.")
    ] = None,
    prefill: Annotated[
        str,
        typer.Option(
            "--prefill",
            metavar="TEXT",
            help="Begin the answer with TEXT; @FILE reads it from a file.",
            rich_help_panel=options.PROMPT,
        ),
    ] = "",
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print a JSON object with the answer, usage and timings.", rich_help_panel=options.OUTPUT
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
            help="Stop after S seconds, including the time to read stdin and files.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    stats: Annotated[
        bool,
        typer.Option("--stats", help="Print token counts and speed to stderr.", rich_help_panel=options.OUTPUT),
    ] = False,
) -> int:
    """Answer one prompt and exit. Reads arguments, piped text and files; prints only the answer.

    The prompt consists of the PROMPT words, a blank line, the text on stdin, then each file of -f with its name. stdin
    is read if it is a pipe, a socket or a file, or if the last word is -. In a shell loop that reads lines from stdin,
    add < /dev/null.
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
    if prompt:
        _note_other_meanings(prompt[0], continued=context.params["continue_last"], output=output)
    started = time.monotonic()
    try:
        with time_limit(timeout):
            whole = read_prompt(prompt or (), given.files)
    except TimeIsUp:
        return timed_out(timeout)
    left = None if timeout is None else max(timeout - (time.monotonic() - started), 0.001)
    from hermes_cli.session.opening import begin

    # Only now, when the prompt is complete: another hermes may write the session while it pipes into this one.
    start = begin(given.layers, given.resume)
    begin_with = text_or_file(prefill) or start.choices.prefill or ""
    if dry_run:
        return show_prompt(whole.text, begin_with, start, as_json)
    has_schema = start.choices.schema is not None
    _refuse_together({"--extract": extract, "a schema": has_schema})
    form: Form = "json" if as_json else "data" if has_schema else "code" if extract else "text"
    target = FileOutput(output) if output else standard_output() if form == "text" else StandardOutput()
    drops = start.choices.overflow == "drop"
    wanted = Wanted(form, timeout, left, stats, given.verbose, drops, begin_with)
    return answer(whole, start, target, wanted)


def _note_other_meanings(first: str, *, continued: bool, output: Path | None) -> None:
    """Print a notice where -c is followed by a number, as in llama-cli, or -o by a setting and its value, as in llm."""
    if continued and first.removesuffix("k").isdecimal():
        console.notice(f"-c continues the last session; the context length is --ctx {first}")
    if output and output.name in SAMPLING_KEYS:
        option = output.name.replace("_", "-")
        console.notice(f"-o writes the answer to the file {output}; to set {output.name}: --{option} {first}")


def _refuse_together(options: dict[str, object]) -> None:
    """Raise UsageError where all of these options were given."""
    if all(options.values()):
        raise UsageError(f"{' and '.join(options)} cannot be used together", "omit one of them")


def _refuse_with_map(options: dict[str, bool]) -> None:
    """Raise UsageError for options of a single answer or a session."""
    for name, given in options.items():
        if given:
            raise UsageError(f"{name} cannot be used with --map", "omit one of them")
