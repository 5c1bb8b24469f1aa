"""Compare hermes with llama-bench, llama-completion and xllamacpp, and write docs/performance.md with its plots.

Each section is measured alone and saved in docs/performance/results.json, so that `--only` repeats one of them.
With --gpu, generation and speculation are measured with all layers on the GPU.
Usage: python -m benchmarks.performance [MODEL ...] [--tools FOLDER] [--rounds 5] [--threads N ...] [--only SECTION ...]
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

from benchmarks import performance_page, programs, speculation
from benchmarks.programs import Job
from benchmarks.rounds import interleaved
from hermes_cli import paths
from hermes_cli.engine.hardware import physical_cores
from hermes_cli.engine.llama.devices import gpus
from hermes_cli.machine.load_plan import plan_load

FOLDER = Path(__file__).parent.parent / "docs" / "performance"
SECTIONS = ("generation", "threads", "speculation")
BUSY = (0, 1, 2)
GPU_DEPTHS, GPU_TOKENS = (programs.PROMPT_TOKENS, 8000), 256
TUNE_S = 10
# Ends with the benchmark, however that ends.
_BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
Table = dict[str, dict[str, float]]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, help="default: the demo model")
    parser.add_argument("--tools", type=Path, help="folder with llama-bench and llama-completion")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", nargs="*", type=int, default=sorted({1, physical_cores()}))
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--gpu", action="store_true")
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    saved = FOLDER / "results.json"
    results = json.loads(saved.read_text()) if saved.exists() else {}
    measures: dict[str, Callable[[Path, argparse.Namespace], Table]] = {
        "generation": generation_on_gpu if given.gpu else generation,
        "threads": threads,
        "speculation": speculated,
    }
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HERMES_CLI_CACHE_DIR"] = folder  # nothing tuned, no saved prompts
        for section in given.only:
            for model in given.models or [paths.DEMO_MODEL]:
                file = model
                if model == paths.DEMO_MODEL and section != "speculation":
                    from benchmarks.endless_model import endless_copy

                    file = endless_copy(model, Path(folder) / model.name)
                found = measures[section](file, given)
                name = f"{model.stem}, GPU" if given.gpu else model.stem
                results.setdefault(section, {}).setdefault("models", {})[name] = found
                results[section].setdefault("machine", {})[name] = machine() | {"rounds": f"{given.rounds}"}
                saved.write_text(json.dumps(results, indent=1) + "\n")
                print(section, name, json.dumps(found), flush=True)
    performance_page.write(FOLDER, results)


def machine() -> dict[str, str]:
    """The machine, the versions and the date."""
    processor = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    versions = {name: importlib.metadata.version(name) for name in ("hermes-cli", "llama-cpp-python")}
    return {
        "processor": ", ".join((f"{processor}, {physical_cores()} cores", *(gpu.description for gpu in gpus()))),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "date": f"{datetime.date.today()}",
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def tokens_for(model: Path) -> int:
    """Enough for a second or two, also on a slow machine: large models are slower."""
    return 900 if model.stat().st_size < 2e7 else 200 if model.stat().st_size < 2e8 else 60


def generation(model: Path, given: argparse.Namespace) -> Table:
    """Every program with one thread and with all of them."""
    found: Table = {}
    tuned = Path(os.environ["HERMES_CLI_CACHE_DIR"]) / f"tuned-{model.stem}"
    programs.tune(model, tuned, TUNE_S)
    for count in given.threads:
        measures = _programs(Job(model, tokens_for(model), count), given.tools, tuned)
        results = interleaved(measures, given.rounds)
        found[f"{count} thread{'s' * (count > 1)}"] = {name: _median(values) for name, values in results.items()}
    return found


def generation_on_gpu(model: Path, given: argparse.Namespace) -> Table:
    """hermes and llama-bench after a short and a long prompt."""
    found: Table = {}
    for depth in GPU_DEPTHS:
        job = Job(model, GPU_TOKENS, gpu=True, depth=depth)
        measures: dict[str, Callable[[], float]] = {
            "hermes ask": partial(programs.hermes_ask, job),
            "hermes ask, greedy": partial(programs.hermes_ask, job, greedy=True),
        }
        if given.tools:
            measures["llama-bench"] = partial(programs.llama_bench, given.tools / "llama-bench", job, flash=True)
        results = interleaved(measures, given.rounds)
        found[f"after {depth:,} tokens"] = {name: _median(values) for name, values in results.items()}
    return found


def _programs(job: Job, tools: Path | None, tuned: Path) -> dict[str, Callable[[], float]]:
    """One measurement of each program that is there."""
    measures: dict[str, Callable[[], float]] = {
        "hermes ask": partial(programs.hermes_ask, job),
        "hermes ask, tuned": partial(programs.hermes_ask, job, cache=tuned),
        "hermes ask, greedy": partial(programs.hermes_ask, job, greedy=True),
    }
    if tools:
        for flash, repack in product((False, True), repeat=2):
            name = f"llama-bench{', flash attention' * flash}{', repacked' * repack}"
            measures[name] = partial(programs.llama_bench, tools / "llama-bench", job, flash=flash, repack=repack)
        measures["llama-completion"] = partial(programs.llama_completion, tools / "llama-completion", job)
    if _installed("xllamacpp"):
        measures["xllamacpp"] = partial(programs.xllamacpp, job)
    return measures


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def threads(model: Path, given: argparse.Namespace) -> Table:
    """Adapting and fixed numbers of threads, while other processes are busy."""
    job = Job(model, tokens_for(model))
    found: Table = {}
    for busy in BUSY:
        with neighbours(busy):
            measures: dict[str, Callable[[], float]] = {"adapting": partial(programs.hermes_ask, job)}
            for count in given.threads:
                fixed = replace(job, threads=count)
                measures[f"{count} thread{'s' * (count > 1)}"] = partial(programs.hermes_ask, fixed)
            results = interleaved(measures, given.rounds)
        found[f"{busy} busy"] = {name: _median(values) for name, values in results.items()}
    return found


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """That many processes that compute all the time."""
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def speculated(model: Path, given: argparse.Namespace) -> Table:
    """--speculate auto and off, and the cost of batches with drafted tokens."""
    (settings, *_) = plan_load(model, speculation.options(gpu=given.gpu)).attempts
    found: Table = {}
    for name, _, off, auto, ratio, same in speculation.gains(model, settings, given.rounds):
        found[name] = {"off": float(off.replace(",", "")), "auto": float(auto.replace(",", "")), "ratio": float(ratio)}
        found[name]["same greedy text"] = same == "yes"
    found["costs"] = {length: float(cost) for length, cost in speculation.costs(model, settings, given.rounds)}
    return found


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 2)


if __name__ == "__main__":
    main()
