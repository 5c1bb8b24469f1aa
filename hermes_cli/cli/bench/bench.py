"""`hermes bench`: the speed of models here, compared with llama.cpp alone; --tune finds the fastest settings."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hermes_cli.chat.request import CancelToken
from hermes_cli.cli.options import options
from hermes_cli.errors import LoadCancelled, UsageError
from hermes_cli.store.settings.settings import load_settings
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.output import StandardOutput
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping

if TYPE_CHECKING:
    from hermes_cli.cli.bench.report import Format
    from hermes_cli.engine.load_options import LoadOptions
    from hermes_cli.session.choices import Loading

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class CacheType(StrEnum):
    """The types of a KV cache, `KV_TYPES`; Typer takes lists of these, not of literals."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"
    Q5_1 = "q5_1"
    Q5_0 = "q5_0"
    Q4_1 = "q4_1"
    Q4_0 = "q4_0"
    IQ4_NL = "iq4_nl"


@app.command()
def bench(
    model: options.Models = None,
    ctx: options.ContextLength = None,
    gpu_layers: options.GpuLayers = None,
    kv_type: Annotated[
        list[CacheType] | None, typer.Option("--kv-type", help="Precision of the KV cache (repeatable).")
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            "--threads",
            metavar="N",
            callback=options.within("--threads", 1, 512),
            help="Number of CPU threads (repeatable).",
        ),
    ] = None,
    lora: options.Lora = None,
    prompt: Annotated[
        list[int] | None,
        typer.Option(
            "--prompt",
            metavar="N",
            callback=options.within("--prompt", 64, 1e7),
            help="Measure a prompt of N tokens (repeatable). [default: 128 to 8192]",
        ),
    ] = None,
    form: Annotated[
        Literal["table", "csv", "markdown", "json"] | None,
        typer.Option("--format", help="Output format. [default: table]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", metavar="FILE", help="Compare with an earlier run, saved with --format json."),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Find the fastest settings for this model and use them from now on.")
    ] = False,
    time_s: Annotated[
        float | None,
        typer.Option(
            "--time",
            metavar="S",
            callback=options.within("--time", 1, 3600),
            help="Time that --tune may take, in seconds. [default: 40]",
        ),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Remove the settings that --tune saved for this model.")
    ] = False,
) -> int:
    """Measure the speed of prompt processing and generation.

    Prints tokens per second, next to those of llama.cpp alone with the same settings. Repeat --model, --threads or
    --kv-type to measure every combination. Each takes at most a minute; prompts that are too long for that are skipped,
    unless you select them with --prompt.
    """
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} cannot be used together", "omit one of them")
    form = "json" if as_json else form or "table"
    _check_tuning(tune, reset, one=not (prompt or compare) and form in ("table", "json"), time_s=time_s)
    from hermes_cli.cli.bench import tune as bench_tune
    from hermes_cli.session.choices import Loading

    if (reset or tune) and max(map(len, (model or (), threads or (), kv_type or ()))) > 1:
        raise UsageError("--tune and --reset take one model and one value of each option", "run them separately")
    loading = Loading(ctx, gpu_layers, lora=tuple(lora or ()) or None)
    jobs = list(_jobs(model or [None], loading, kv_type or [None], threads or [None]))
    if reset:
        return _forget(jobs[0][0])
    if not tune:
        return _measure(jobs, prompt, form, compare)
    cancel = CancelToken()
    text = ""
    with suppress(LoadCancelled), stopping(cancel, leave=lambda: None):
        text = bench_tune.tuned(*jobs[0], cancel, time_s, as_json=form == "json")
    if cancel.reason:
        return EXIT_CODES[cancel.reason]
    StandardOutput().write(text)
    return 0


def _check_tuning(tune: bool, reset: bool, *, one: bool, time_s: float | None) -> None:
    if tune and (reset or not one):
        raise UsageError(
            "--tune cannot be used with --reset, --prompt, --compare, or --format csv or markdown",
            "run them separately",
        )
    if time_s and not tune:
        raise UsageError("--time sets the time for --tune", "add --tune")


def _jobs(
    models: list[str] | list[None],
    loading: "Loading",
    kv_types: list[CacheType] | list[None],
    threads: list[int] | list[None],
) -> "Iterator[tuple[Path, LoadOptions]]":
    """The file and the options of every combination."""
    from hermes_cli.session.choices import Choices
    from hermes_cli.session.sources import from_settings, with_model_defaults
    from hermes_cli.session.target.local import find_local

    layers = from_settings(load_settings())
    for name, kv_type, count in product(models, kv_types, threads):
        load = replace(loading, kv_type=kv_type.value if kv_type else None, threads=count)
        flags = Choices(model=name, load=load, save=False, endpoint="local")
        choices = with_model_defaults(replace(layers, flags=flags)).now
        target = find_local(choices.model, choices, layers.models)
        yield target.file, target.load


def _measure(
    jobs: "list[tuple[Path, LoadOptions]]", lengths: list[int] | None, form: "Format", compare: Path | None
) -> int:
    """Print the report on all runs; if one fails or is stopped, on those before it. Raises HermesError."""
    from hermes_cli.cli.bench.report import earlier_run, matches, report
    from hermes_cli.cli.bench.run import Run, measured

    earlier = earlier_run(compare) if compare else None
    cancel = CancelToken()
    runs: list[Run] = []
    try:
        with suppress(LoadCancelled), stopping(cancel, leave=lambda: None):
            for path, load in jobs:
                runs.append(measured(path, load, lengths, cancel))
    finally:
        if runs:
            if earlier is not None and not matches(runs, earlier):
                console.notice(f"{compare} has no row with the same model, settings and prompt length")
            StandardOutput().write(report(runs, form, earlier))
    return EXIT_CODES[cancel.reason] if cancel.reason else 0


def _forget(path: Path) -> int:
    from hermes_cli.machine import tuning

    console.notice(
        f"{path.stem}: {'removed the tuned settings' if tuning.forget(path) else 'there are no tuned settings'}"
    )
    return 0
