"""The runs of `hermes bench` as a table, CSV, Markdown or JSON, and compared with an earlier run."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from hermes_cli import __version__
from hermes_cli.cli.bench.run import Row, Run
from hermes_cli.cli.lists.stdout import figure_lines
from hermes_cli.errors import UsageError
from hermes_cli.files import check_hint, read_json
from hermes_cli.terminal.answer.turn_view import plan_line

Format = Literal["table", "csv", "markdown", "json"]
# Model, adapters with their scales, threads, cache type, layers on GPUs, tokens of the prompt.
Key = tuple[str, tuple[tuple[str, float], ...], int, str, int, int]
Earlier = Mapping[Key, tuple[float, float]]  # tokens per second of prompt processing and of generation
_THOUSANDS = re.compile(r"(?<=\d),(?=\d)")
_HINT = "write one: hermes bench --format json > FILE"


def report(runs: Sequence[Run], form: Format, earlier: Earlier | None = None) -> str:
    """All runs in that form."""
    if form == "json":
        return json.dumps(_facts(runs), indent=2) + "\n"
    rows = _rows(runs, earlier)
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([_THOUSANDS.sub("", cell) for cell in row] for row in rows)
        return text.getvalue()
    if form == "markdown":
        return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:]))
    return "".join(map(_head, runs)) + figure_lines(rows if len(runs) > 1 else _without_names(rows))


def _facts(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "version": __version__,
        "date": f"{datetime.now():%Y-%m-%d %H:%M}",
        "runs": [
            {
                **asdict(run.info),
                "first_token_s": run.first_token_s,
                "process_bytes": run.process_bytes,
                "settings": {name: value for name, value in asdict(run.settings).items() if name != "adapters"},
                "prompts": list(map(asdict, run.rows)),
            }
            for run in runs
        ],
    }


def _head(run: Run) -> str:
    memory = f"{run.process_bytes / 1e6:,.0f} MB of memory in use"
    return (
        f"{run.info.model_name} · {run.info.description} · {plan_line(run.info)}\n"
        f"loaded in {run.info.load_s:.2f} s · first token after {run.first_token_s:.2f} s · {memory}\n"
    )


def _rows(runs: Sequence[Run], earlier: Earlier | None) -> list[list[str]]:
    """The head and the cells of every row; columns without any value are left out."""
    columns: dict[str, Callable[[Run, Row], str]] = {
        "model": lambda run, _: run.info.model_name.replace("|", " "),
        "settings": lambda run, _: _settings(run),
        "MB": lambda run, _: f"{run.process_bytes / 1e6:,.0f}",
        "tokens": lambda _, row: f"{row.prompt_tokens:,}",
        "prompt tok/s": lambda _, row: f"{row.read:,.1f}",
        "generation tok/s": lambda _, row: f"{row.write:,.1f}",
        "J/token": lambda _, row: "" if row.joules_per_token is None else f"{row.joules_per_token:.3g}",
        "llama.cpp alone: prompt": lambda _, row: f"{row.bare_read:,.1f}",
        "generation": lambda _, row: f"{row.bare_write:,.1f}",
    }
    if earlier is not None:
        columns["prompt / earlier"] = lambda run, row: _ratio(row.read, earlier.get(_key(run, row)), 0)
        columns["generation / earlier"] = lambda run, row: _ratio(row.write, earlier.get(_key(run, row)), 1)
    cells = [[cell(run, row) for cell in columns.values()] for run in runs for row in run.rows]
    used = [any(line[at] for line in cells) for at in range(len(columns))]
    return [[cell for cell, keep in zip(line, used, strict=True) if keep] for line in (list(columns), *cells)]


def _settings(run: Run) -> str:
    used = run.settings
    layers = f"{'all' if used.gpu_layers < 0 else used.gpu_layers} layers on the GPU, " if used.gpu_layers else ""
    return f"{layers}{used.threads} thread{'s' * (used.threads != 1)}, {used.kv_type}"


def _without_names(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Without model, settings and memory, which the head of a single run shows."""
    return [list(row[3:]) for row in rows]


def _ratio(now: float, then: tuple[float, float] | None, which: int) -> str:
    return f"{now / then[which]:.2f}" if then and then[which] else ""


def _key(run: Run, row: Row) -> Key:
    used = run.settings
    return run.info.model_name, run.info.adapters, used.threads, used.kv_type, used.gpu_layers, row.prompt_tokens


def earlier_run(path: Path) -> Earlier:
    """What a file of `--format json` holds. Raises UsageError."""
    try:
        runs = read_json(path)["runs"]
        return {
            (
                run["model_name"],
                tuple(map(tuple, run.get("adapters", ()))),
                *(run["settings"][name] for name in ("threads", "kv_type", "gpu_layers")),
                row["prompt_tokens"],
            ): (_speed(row["read"]), _speed(row["write"]))
            for run in runs
            for row in run["prompts"]
        }
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", check_hint(path)) from error
    except (ValueError, KeyError, TypeError, OverflowError):
        raise UsageError(f"{path} is not a result of hermes bench", _HINT) from None


def _speed(value: float) -> float:
    """A measured speed. Raises ValueError, TypeError, OverflowError."""
    if not 0 <= value < math.inf:
        raise ValueError(value)
    return float(value)


def matches(runs: Sequence[Run], earlier: Earlier) -> bool:
    """Whether any row has an earlier figure."""
    return any(_key(run, row) in earlier for run in runs for row in run.rows)
