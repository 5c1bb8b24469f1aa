"""Compares the estimated memory of a plan with that of a process with a full context.

Usage: python -m benchmarks.plans MODEL [--windows 512 2048] [--kv f16 q8_0] [--layers 0]

Each row is a process of its own. On GPUs the difference of what is free before and after counts, so nothing else may
use them meanwhile.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import psutil

from hermes_cli.engine.llama.devices import gpus
from hermes_cli.engine.load_options import GPU_BATCH_TOKENS, LoadSettings
from hermes_cli.engine.loading import make_context, make_model
from hermes_cli.gguf.file import model_header
from hermes_cli.kv_types import KvType
from hermes_cli.machine.measure import prompt_seconds, sample_tokens
from hermes_cli.machine.memory_plan import estimate

MIB = 1024 * 1024


def main() -> None:
    """Measure every combination and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--windows", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--kv", choices=get_args(KvType), nargs="+", default=list(get_args(KvType)))
    parser.add_argument("--layers", type=int, nargs="+", default=[0], help="on GPUs; -1 for all")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        window, kv_type, layers = given.child
        measure(given.model, settings(int(window), kv_type, int(layers)))
        return
    print("| layers on GPU | context | cache | host MiB | planned | ratio | GPU MiB | planned | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for layers in given.layers:
        for window in given.windows:
            for kv_type in given.kv:
                row(given.model, window, kv_type, layers)


def row(model: Path, window: int, kv_type: KvType, layers: int) -> None:
    """One combination, measured in a child."""
    command = [sys.executable, "-m", "benchmarks.plans", str(model), "--child", str(window), kv_type, str(layers)]
    real = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    planned = estimate(model_header(model), settings(window, kv_type, layers), max(real["gpus"], 1))
    cells = [str(planned.gpu_layers), f"{window:,}", kv_type]
    for name, bytes_planned in (("host", planned.host_bytes), ("gpu", planned.gpu_bytes)):
        ratio = bytes_planned / real[name] if real[name] else 0
        cells += [f"{real[name] / MIB:,.0f}", f"{bytes_planned / MIB:,.0f}", f"**{ratio:.2f}**" if ratio else ""]
    print(f"| {' | '.join(cells)} |", flush=True)


def settings(window: int, kv_type: KvType, layers: int) -> LoadSettings:
    """What a plan would choose."""
    on_cpu = LoadSettings(
        context_length=window, gpu_layers=layers, kv_type=kv_type, flash_attention=None if kv_type == "q8_0" else False
    )
    return replace(on_cpu, batch_tokens=GPU_BATCH_TOKENS, flash_attention=None) if layers else on_cpu


def measure(path: Path, options: LoadSettings) -> None:
    """Load, fill the context, and print the memory it took."""
    free = sum(gpu.free_bytes for gpu in gpus())
    model = make_model(path, options, lambda _: True)
    context = make_context(model, options)
    prompt_seconds(context, sample_tokens(model, context.context_length - 2))
    context.decode((0,))
    context.check_numbers()
    used = free - sum(gpu.free_bytes for gpu in gpus()) if options.gpu_layers else 0
    # Not the peak: on the way to a GPU all weights are mapped from the file for a moment.
    print(json.dumps({"host": psutil.Process().memory_info().rss, "gpu": used, "gpus": len(gpus())}))


if __name__ == "__main__":
    main()
