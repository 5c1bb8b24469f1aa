"""`hermes bench`: the speed of a model here, compared with llama.cpp alone; --tune finds the fastest settings."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hermes_cli.chat.request import CancelToken
from hermes_cli.cli import options
from hermes_cli.errors import LoadCancelled, UsageError
from hermes_cli.store.settings.settings import load_settings
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import StandardOutput
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def bench(
    model: options.Model = None,
    ctx: options.ContextLength = None,
    gpu_layers: options.GpuLayers = None,
    kv_type: options.CacheType = None,
    threads: options.Threads = None,
    prompt: Annotated[
        list[int] | None,
        typer.Option(
            "--prompt", metavar="N", min=64, help="Measure a prompt of N tokens (repeatable). [default: 128 to 8192]"
        ),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Find the fastest settings for this model and use them from now on.")
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Remove the settings that --tune saved for this model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Measure the speed of prompt processing and generation.

    Prints tokens per second, beside llama.cpp alone with the same settings.
    Takes at most a minute. Longer prompts than that allows are skipped; --prompt measures them.
    """
    from hermes_cli.cli.bench import run as bench_run
    from hermes_cli.models.choose import find_model
    from hermes_cli.session.choices import Choices, Loading
    from hermes_cli.session.local_target import load_options
    from hermes_cli.session.sources import from_settings

    if tune and (reset or prompt):
        raise UsageError("--tune cannot be used with --reset or --prompt", "run them one after the other")
    defaults = load_settings()
    spec = find_model(model or defaults.model)
    if reset:
        return _forget(spec.path)
    given = Choices(load=Loading(ctx, gpu_layers, kv_type, threads), save=False)
    requested = load_options(replace(from_settings(defaults), flags=given).now)
    cancel = CancelToken()
    try:
        with stopping(cancel, leave=lambda: None):
            if tune:
                text = bench_run.tuned(spec.path, requested, cancel, as_json)
            else:
                text = bench_run.measured(spec.path, requested, prompt, cancel, as_json)
    except LoadCancelled:
        text = ""
    if cancel.reason:
        return EXIT_CODES[cancel.reason]
    StandardOutput().write(text)
    return 0


def _forget(path: Path) -> int:
    from hermes_cli.machine import tuning

    console.notice(
        f"{path.stem}: {'removed the tuned settings' if tuning.forget(path) else 'there are no tuned settings'}"
    )
    return 0
