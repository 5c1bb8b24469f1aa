"""Memory of `hermes ask` above the buffers that llama.cpp itself says it makes: weights, KV cache, compute.

Usage: python -m benchmarks.memory [--model GGUF]
"""

import argparse
import re
import resource
import sys
from pathlib import Path

from hermes_cli import paths
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.engine.llama import library
from hermes_cli.engine.local import open_backend

MIB = 1024 * 1024


def main() -> None:
    """Answer once in this process, as `hermes ask` does, and print the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=paths.DEMO_MODEL)
    given = parser.parse_args()
    from hermes_cli.cli import app  # noqa: F401 - what the program has loaded before it opens a model

    with open_backend(given.model) as backend:
        weights_mib = given.model.stat().st_size / MIB
        buffers_mib = sum(float(size) for size in re.findall(r"(?:KV|compute) buffer size = +([\d.]+) MiB", _log()))
        request = GenerationRequest((Message("user", "Hello, who are you?"),), max_tokens=64)
        for _ in backend.generate(request, CancelToken()):
            pass
    # Linux counts in KiB, macOS in bytes.
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1024)
    print("| MiB | peak | weights | KV and compute buffers | above them |\n|---|---|---|---|---|")
    above = peak_mib - weights_mib - buffers_mib
    print(f"| {given.model.name} | {peak_mib:.1f} | {weights_mib:.1f} | {buffers_mib:.1f} | {above:.1f} |")


def _log() -> str:
    return "\n".join(library.log_lines())


if __name__ == "__main__":
    main()
