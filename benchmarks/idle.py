"""What `hermes chat` costs when nothing happens: CPU time at its prompt, and memory over many turns.

The turns run through one Session with the demo model, as in a chat; every twenty turns a new conversation begins.
Usage: python -m benchmarks.idle [--seconds 20] [--turns 1000]
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pexpect
import psutil

from hermes_cli import paths
from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.engine.hardware import process_bytes
from hermes_cli.engine.load_options import LoadSettings
from hermes_cli.engine.local import open_backend
from hermes_cli.session.session import Session

_SETTLE_S = 3.0  # the model loads and is examined behind the prompt
_TURNS_EACH = 20  # before the conversation begins again


def main() -> None:
    """Measure and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--turns", type=int, default=1000)
    given = parser.parse_args()
    used, switches = idle(given.seconds)
    cost = f"{1000 * used:.0f} ms of CPU time, {switches} wake-ups of the main thread"
    print(f"at the prompt for {given.seconds:g} s: {cost}")
    sizes = list(memory(given.turns))
    for turns, size in sizes:
        print(f"after {turns:,} turns: {size / 1e6:.1f} MB")


def idle(seconds: float) -> tuple[float, int]:
    """CPU seconds and wake-ups of the main thread of a chat that waits at its prompt for so long."""
    with tempfile.TemporaryDirectory() as folder:
        own = {f"HERMES_CLI_{name}_DIR": str(Path(folder) / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        child = pexpect.spawn(
            sys.executable,
            ["-m", "hermes_cli", "chat", "-m", "demo"],
            env={**environment, "TERM": "xterm-256color", **own},
            timeout=60,
            dimensions=(40, 100),
        )
        child.expect_exact(b"Send a message")
        child.send("Hello\r")
        child.expect_exact(b"tok/s")
        time.sleep(_SETTLE_S)
        process = psutil.Process(child.pid)
        before, switched = process.cpu_times(), process.num_ctx_switches().voluntary
        time.sleep(seconds)
        after = process.cpu_times()
        found = after.user + after.system - before.user - before.system, process.num_ctx_switches().voluntary - switched
        child.sendeof()
        child.expect(pexpect.EOF)
        child.close()
    return found


def memory(turns: int) -> Iterator[tuple[int, int]]:
    """The bytes that this process uses, after tenths of the turns; the first comes when everything was used once."""
    settings = SessionSettings(sampling=Sampling(temperature=0))
    with closing(open_backend(paths.DEMO_MODEL, LoadSettings(context_length=2048, kv_store_bytes=0))) as backend:
        for done in range(0, turns, _TURNS_EACH):
            session = Session(backend, settings=settings)
            for number in range(min(_TURNS_EACH, turns - done)):
                for _ in session.send(f"My name is Ada{done + number}. What is {number} plus 2?", CancelToken()):
                    pass
            count = min(done + _TURNS_EACH, turns)
            if count == turns or count % max(_TURNS_EACH, turns // 10 // _TURNS_EACH * _TURNS_EACH) == 0:
                yield count, process_bytes()


if __name__ == "__main__":
    main()
