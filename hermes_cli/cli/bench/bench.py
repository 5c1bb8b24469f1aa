"""`hermes bench`: how fast a model is here, beside llama.cpp alone; with --tune, which settings make it fastest."""

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


def bench(
    model: options.Model = None,
    ctx: options.ContextLength = None,
    gpu_layers: options.GpuLayers = None,
    kv_type: options.CacheType = None,
    threads: options.Threads = None,
    prompt: Annotated[
        list[int] | None,
        typer.Option("--prompt", metavar="N", min=64, help="A prompt of N tokens (repeatable). [default: up to 8192]"),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Try settings for this model, and remember the fastest for later loads.")
    ] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what --tune found for this model.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Measure how fast a model reads and writes here, and llama.cpp alone with the same settings.

    Takes a minute at most; what would take longer is left out, and measured with --prompt.
    """
    from hermes_cli.cli.bench import run as bench_run
    from hermes_cli.models.choose import find_model
    from hermes_cli.session.choices import Choices, from_settings

    if tune and (reset or prompt):
        raise UsageError("--tune goes with neither --reset nor --prompt", "run them one after the other")
    defaults = load_settings()
    spec = find_model(model or defaults.model)
    if reset:
        return _forget(spec.path)
    given = Choices(load=options.loading(ctx, gpu_layers, kv_type, threads), save=False)
    wishes = replace(from_settings(defaults), flags=given).now.load_options()
    cancel = CancelToken()
    try:
        with stopping(cancel, leave=lambda: None):
            if tune:
                text = bench_run.tuned(spec.path, wishes, cancel, as_json)
            else:
                text = bench_run.measured(spec.path, wishes, prompt, cancel, as_json)
    except LoadCancelled:
        text = ""
    if cancel.reason:
        return EXIT_CODES[cancel.reason]
    StandardOutput().write(text)
    return 0


def _forget(path: Path) -> int:
    from hermes_cli.machine import tuning

    console.notice(f"{path.stem}: {'forgotten' if tuning.forget(path) else 'nothing was remembered'}")
    return 0
