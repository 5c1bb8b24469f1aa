"""Download throughput of `hermes pull`, which hashes the data, and `hf download`, which does not, from one server.

The server is a process of its own on this machine and sends from memory. Both programs run whole; the time of the
transfer alone is taken inside the process, after its imports.

Usage: python -m benchmarks.download [--megabytes 1000] [--rounds 5]
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.rounds import interleaved, table

REPOSITORY, FILE = "bench/model-GGUF", "model.Q4_K_M.gguf"
_HF = """
import sys, time
from huggingface_hub import hf_hub_download
started = time.perf_counter()
hf_hub_download(sys.argv[1], sys.argv[2], local_dir=sys.argv[3])
print(time.perf_counter() - started)
"""
_HERMES = """
import sys, time
import huggingface_hub
from hermes_cli.cli.pull import download
from hermes_cli.models.names import reference
huggingface_hub.HfApi
started = time.perf_counter()
download(reference("hf:" + sys.argv[1] + "/" + sys.argv[2]))
print(time.perf_counter() - started)
"""


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, given.megabytes), daemon=True)
    server.start()
    environment = {"HF_ENDPOINT": here.recv(), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    hf = str(Path(sys.executable).with_name("hf"))
    hermes = [sys.executable, "-m", "hermes_cli"]
    inside = {
        "hf_hub_download": _rate(given.megabytes, environment, [sys.executable, "-c", _HF, REPOSITORY, FILE, "{}"]),
        "hermes": _rate(given.megabytes, environment, [sys.executable, "-c", _HERMES, REPOSITORY, FILE]),
    }
    whole = {
        "hf download": _rate(given.megabytes, environment, [hf, "download", REPOSITORY, FILE, "--local-dir", "{}"]),
        "hermes pull": _rate(given.megabytes, environment, [*hermes, "pull", f"hf:{REPOSITORY}/{FILE}"]),
    }
    print(table(interleaved(inside, given.rounds), "hf_hub_download", "MB/s of the transfer"))
    print("\n" + table(interleaved(whole, given.rounds), "hf download", "MB/s of the whole command"))
    server.terminate()


def _serve(pipe: Connection, megabytes: int) -> None:
    from tests.hub_server import Hub, running

    block = os.urandom(1 << 20)
    data = (b"GGUF" + block * (megabytes * 1_000_000 // len(block) + 1))[: megabytes * 1_000_000]
    hub = Hub()
    hub.put(REPOSITORY, FILE, data)
    hub.key(data)  # computed once, not in the first round
    with running(hub):
        pipe.send(hub.url)
        while True:
            time.sleep(60)


def _rate(megabytes: int, changes: Mapping[str, str], command: list[str]) -> Callable[[], float]:
    """Megabytes a second, by the seconds the command prints, else by its whole time."""

    def measure() -> float:
        with tempfile.TemporaryDirectory() as folder:
            own = {name: folder for name in ("HERMES_CLI_DATA_DIR", "HERMES_CLI_CACHE_DIR", "HF_HOME")}
            started = time.perf_counter()
            done = subprocess.run(
                [word.replace("{}", folder) for word in command],
                env={**os.environ, **changes, **own},
                capture_output=True,
                text=True,
                check=True,
            )
            seconds = time.perf_counter() - started
            printed = done.stdout.strip().splitlines()[-1] if "-c" in command else ""
            return megabytes / (float(printed) if printed else seconds)

    return measure


if __name__ == "__main__":
    main()
