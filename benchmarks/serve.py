"""Compares `hermes serve` with `hermes ask` and the model in this process: speed, first token, idle CPU time, size.

    python -m benchmarks.serve [--rounds 9] [--tokens 600] [--idle 20]

Uses a copy of the demo model that never ends its turn.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil

import hermes_cli.server
from benchmarks.endless_model import endless_copy
from hermes_cli import paths
from hermes_cli.chat.events import TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.load_options import LoadSettings
from hermes_cli.engine.local import LocalBackend, open_backend
from tests.server.running_server import serving

LONG_PROMPT = "The quick brown fox jumps over the lazy dog. " * 30


def streamed(url: str, prompt: str, tokens: int) -> tuple[float, float]:
    """Seconds until the first text of a streamed chat, and from there to its last text; read by a plain client."""
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "seed": 1, "stream": True}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    with closing(connection):
        started = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        moments = [
            time.perf_counter()
            for line in iter(connection.getresponse().readline, b"")
            if b'"content":"' in line and b'"content":""' not in line
        ]
    return moments[0] - started, moments[-1] - moments[0]


def asked(model: Path, prompt: str, tokens: int) -> float:
    """Seconds from the first to the last text of `hermes ask` into a pipe."""
    command = [sys.executable, "-P", "-m", "hermes_cli", "ask", "-m", str(model), "--no-save", "--seed", "1"]
    with subprocess.Popen([*command, "-n", str(tokens), prompt], stdout=subprocess.PIPE) as process:
        assert process.stdout
        pipe = process.stdout.fileno()
        moments = [time.perf_counter() for _ in iter(lambda: os.read(pipe, 65536), b"")]
    return moments[-1] - moments[0]


def first_in_process(backend: LocalBackend, prompt: str) -> float:
    """Seconds until the first text in this process."""
    request = GenerationRequest((Message("user", prompt),), Sampling(seed=1), 8)
    started = time.perf_counter()
    with closing(backend.generate(request, CancelToken())) as events:
        next(event for event in events if isinstance(event, TextDelta))
    return time.perf_counter() - started


def lines() -> int:
    """Lines of the server's modules."""
    return sum(len(path.read_text().splitlines()) for path in Path(hermes_cli.server.__file__).parent.glob("*.py"))


def processor_time(process: psutil.Process) -> float:
    """Seconds that a process has used."""
    return float(sum(process.cpu_times()[:2]))


def milliseconds(times: Iterable[float]) -> float:
    """The median."""
    return statistics.median(times) * 1000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=600)
    parser.add_argument("--idle", type=float, default=20)
    given = parser.parse_args()
    print(f"hermes_cli/server: {lines()} lines")
    with tempfile.TemporaryDirectory() as folder:
        model = endless_copy(paths.DEMO_MODEL, Path(folder) / "endless.gguf")
        with serving(model=str(model)) as server:
            pairs = [
                (streamed(server.url, "Hello", given.tokens)[1], asked(model, "Hello", given.tokens))
                for _ in range(given.rounds + 1)
            ][1:]
            served, local = (given.tokens / statistics.median(pair[place] for pair in pairs) for place in (0, 1))
            ratio = statistics.median(ask / serve for serve, ask in pairs)
            print(f"tokens per second: served {served:.0f}, hermes ask {local:.0f}, ratio {ratio:.2f}")
            with closing(open_backend(model, LoadSettings(context_length=2048))) as backend:
                firsts = [
                    (streamed(server.url, LONG_PROMPT, 8)[0], first_in_process(backend, LONG_PROMPT))
                    for _ in range(3 * given.rounds + 1)
                ][1:]
            served, local = (milliseconds(pair[place] for pair in firsts) for place in (0, 1))
            print(f"first text after a cached prompt: served {served:.1f} ms, in process {local:.1f} ms")
            process = psutil.Process(server.process.pid)
            before = processor_time(process)
            time.sleep(given.idle)
            used = processor_time(process) - before
            print(f"idle: {used * 1000:.0f} ms of processor time in {given.idle:g} s")


if __name__ == "__main__":
    main()
