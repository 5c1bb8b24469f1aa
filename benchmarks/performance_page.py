"""docs/performance.md and its plots, from the results of benchmarks.performance."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.plot import bars
from benchmarks.rounds import markdown

Table = Mapping[str, Mapping[str, float]]
_OWN = "hermes ask"
_INTRODUCTION = """# Performance

Written by `make performance` (`python -m benchmarks.performance`). Every figure is the median of interleaved rounds:
A B C A B C, so that changes in the machine's speed affect all programs alike. Compare figures only within one table.

`llama-bench` and `llama-completion` are built from the source of the installed llama-cpp-python and run on its
libraries; give their folder with `--tools`. `xllamacpp` is measured if it is installed; its wheel has its own kernels
for each CPU, and it samples with its own defaults. llama-bench does not sample; llama-completion and `hermes ask`
sample with the default settings of hermes, except in rows marked "greedy". hermes runs with its planned settings, which
on x86 without AMX are those of the first llama-bench row, and once with those that `hermes bench --tune` found: these
may include a `q8_0` cache, and llama-bench always uses `f16`, so there is no ratio for that row. llama-bench generates
after 32 tokens, about the length of the prompt.

With more threads than cores are free, threads wait for each other, and every program slows down by a factor that
depends on chance. If the load given below is not small, compare only the figures with one thread. On a shared virtual
machine, two medians of the same program can differ by a tenth.
"""
_SPECULATION = """The answers are given, those of a good model: every token takes the time of the model and its sampler,
and then the next token of the given answer is used, so that both sides write the same
(`python -m benchmarks.speculation`). The ratio is the median of the ratios of the rounds, not that of the two medians.
The reasons why it is off by default are in [engine.md](engine.md#speculation).
"""


def write(folder: Path, results: Mapping[str, Any]) -> None:
    """Write the page next to `folder`, and the plots into it."""
    parts = [_INTRODUCTION]
    if "generation" in results:
        parts += _generation(folder, results["generation"])
    if "threads" in results:
        parts += _threads(folder, results["threads"])
    if "speculation" in results:
        parts += _speculation(results["speculation"])
    (folder.parent / "performance.md").write_text("\n".join(parts), encoding="utf-8")


def _generation(folder: Path, section: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Generation\n\n{_machine(section)}\n"
    plotted: dict[str, dict[str, float]] = {}
    for model, table in section["models"].items():
        names = list(next(iter(table.values())))
        rows = [(f"{model}, tokens per second", *table)]
        rows += [(name, *(f"{column[name]:,.1f}" for column in table.values())) for name in names]
        for other in ("llama-bench", ""):
            name = f"**{_OWN} / {other or 'best llama-bench'}**"
            rows.append((name, *(_ratio(column, other) for column in table.values())))
        yield markdown(rows) + "\n"
        for threads, column in table.items():
            plotted[f"{model}, {threads}"] = {name: value for name, value in column.items() if "," not in name}
    (folder / "generation.svg").write_text(bars("Generation", "tokens per second", plotted), encoding="utf-8")
    yield "![Generation](performance/generation.svg)\n"


def _ratio(column: Mapping[str, float], other: str) -> str:
    """Of hermes to another program, or to the best llama-bench; empty if that was not measured."""
    others = [value for name, value in column.items() if name.startswith("llama-bench") and other in ("", name)]
    return f"**{column[_OWN] / max(others):.2f}**" if others else ""


def _threads(folder: Path, section: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Threads with other busy processes\n\n{_machine(section)}\n"
    plotted: dict[str, Mapping[str, float]] = {}
    names = list(next(iter(next(iter(section["models"].values())).values())))
    rows = [("model", "busy processes", *(f"{name}, tok/s" for name in names), "adapting / best fixed")]
    for model, table in section["models"].items():
        for busy, column in table.items():
            best = max(value for name, value in column.items() if name != "adapting")
            cells = (f"{column[name]:,.1f}" for name in names)
            rows.append((model, busy.split()[0], *cells, f"**{column['adapting'] / best:.2f}**"))
            plotted[f"{model}, {busy}"] = column
    yield markdown(rows) + "\n"
    (folder / "threads.svg").write_text(bars("Threads", "tokens per second", plotted), encoding="utf-8")
    yield "![Threads with busy processes](performance/threads.svg)\n"


def _speculation(section: Mapping[str, Any]) -> Iterator[str]:
    yield f"## Speculation\n\n{_machine(section)}\n"
    yield _SPECULATION
    rows: list[tuple[str, ...]] = [("model", "task", "off, tok/s", "auto, tok/s", "ratio", "same greedy text")]
    costs: list[tuple[str, ...]] = []
    for model, table in section["models"].items():
        for task, column in table.items():
            if task == "costs":
                costs = costs or [("model", *(f"{length} drafted" for length in column))]
                costs.append((model, *(f"{cost:.2f}" for cost in column.values())))
                continue
            off, auto, ratio = column["off"], column["auto"], column["ratio"]
            rows.append(
                (
                    model,
                    task,
                    f"{off:,.1f}",
                    f"{auto:,.1f}",
                    f"{ratio:.2f}",
                    "yes" if column["same greedy text"] else "no",
                )
            )
    yield markdown(rows) + "\n"
    yield f"Time of a batch with drafted tokens, relative to one token:\n\n{markdown(costs)}\n"


def _machine(section: Mapping[str, Any]) -> str:
    lines = []
    for model, facts in section["machine"].items():
        where = f"{facts['processor']}; {facts['system']}; {facts['versions']}; {facts['date']}"
        lines.append(f"- {model}: {where}; rounds: {facts['rounds']}; load of the machine at the end: {facts['load']}")
    return "\n".join(lines)
