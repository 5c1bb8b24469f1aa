"""`hermes chat` on a pseudo-terminal: when its prompt is there, how soon a key is echoed, and how fast it decodes.

Usage: python -m benchmarks.chat [--rounds 9] [--tokens 1000] [--sessions 10000]
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pexpect
import psutil

from benchmarks.endless_model import endless_copy
from benchmarks.rounds import interleaved, table
from hermes_cli.paths import DEMO_MODEL

HERMES = [sys.executable, "-m", "hermes_cli"]
_SPEED = re.compile(r"tok · ([\d.]+) tok/s")


def main() -> None:
    """Measure and print four tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        few, many = _folders(Path(folder) / "few"), _folders(Path(folder) / "many")
        subprocess.run([*HERMES, "ask", "-m", "demo", "Hello"], env=few, capture_output=True, check=True)
        _fill(Path(few["HERMES_CLI_DATA_DIR"]) / "sessions", Path(many["HERMES_CLI_DATA_DIR"]), given.sessions)
        for unit in ("s", "CPU s"):
            prompts = {
                "python -c pass": partial(_python, few, unit),
                "one session": partial(_until_prompt, few, unit),
                f"{given.sessions:,} sessions": partial(_until_prompt, many, unit),
            }
            print("start to prompt\n" + table(interleaved(prompts, given.rounds), "python -c pass", unit) + "\n")
        echoes = _echoes_ms(few, 200)
        print(f"a key is echoed after {statistics.median(echoes):.1f} ms, {max(echoes):.1f} ms at most\n")
        model = endless_copy(DEMO_MODEL, Path(folder) / "endless.gguf")
        speeds: dict[str, Callable[[], float]] = {
            "ask in a pipe": lambda: _piped(model, given.tokens, few),
            "chat on a terminal": lambda: _on_terminal(model, given.tokens, few),
        }
        print("decoding\n" + table(interleaved(speeds, given.rounds), "ask in a pipe", "tok/s"))


def _folders(root: Path) -> dict[str, str]:
    """The environment of a program with folders of its own; compiled modules are kept, as an installed one has them."""
    own = {f"HERMES_CLI_{name}_DIR": str(root / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**given, "TERM": "xterm-256color", "PYTHONPYCACHEPREFIX": str(root.parent / "compiled"), **own}


def _fill(sessions: Path, target: Path, count: int) -> None:
    """Copy the only session this many times."""
    (one,) = sessions.glob("*.jsonl")
    (target / "sessions").mkdir(parents=True)
    for number in range(count):
        shutil.copy(one, target / "sessions" / f"20260101-000000-{number:06}.jsonl")


def _chat(environment: Mapping[str, str], *options: str) -> "pexpect.spawn[bytes]":
    command = [*HERMES, "chat", "-t", "0", *options]
    variables = {name: value for name, value in environment.items() if name != "CI"}
    return pexpect.spawn(command[0], command[1:], env=variables, timeout=300, dimensions=(40, 100))


def _python(environment: Mapping[str, str], unit: str) -> float:
    """What it takes, in seconds or in seconds of CPU time, to start Python and do nothing."""
    started, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", "pass"], env=dict(environment), check=True)
    seconds, after = time.perf_counter() - started, os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu_s if unit == "CPU s" else seconds


def _until_prompt(environment: Mapping[str, str], unit: str) -> float:
    """What it takes until the prompt can be seen."""
    started = time.perf_counter()
    child = _chat(environment, "-m", "demo")
    child.expect_exact(b"Send a message")
    seconds = time.perf_counter() - started
    used = psutil.Process(child.pid).cpu_times()
    _leave(child)
    return used.user + used.system if unit == "CPU s" else seconds


def _echoes_ms(environment: Mapping[str, str], keys: int) -> list[float]:
    """How long each of N keys takes to be echoed, one after the other, on an idle program."""
    child = _chat(environment, "-m", "demo")
    child.expect_exact(b"ctx 0/")
    child.delaybeforesend = None
    times = []
    for key in "abcdefghij" * (keys // 10):
        time.sleep(0.02)
        started = time.perf_counter()
        child.send(key)
        child.expect_exact(key.encode())
        times.append((time.perf_counter() - started) * 1000)
    child.send(b"\x03")
    _leave(child)
    return times


def _leave(child: "pexpect.spawn[bytes]") -> None:
    child.send(b"\x04")
    child.expect(pexpect.EOF)
    child.close()


def _piped(model: Path, tokens: int, environment: Mapping[str, str]) -> float:
    """The speed that `ask` reports, with its answer in a pipe."""
    command = [*HERMES, "ask", "--no-save", "--stats", "-t", "0", "-m", str(model), "-n", str(tokens), "Go"]
    return _speed(subprocess.run(command, env=dict(environment), capture_output=True, check=True).stderr)


def _on_terminal(model: Path, tokens: int, environment: Mapping[str, str]) -> float:
    """The speed that `chat` reports, with its answer rendered."""
    child = _chat(environment, "--no-save", "-m", str(model), "-n", str(tokens))
    child.expect_exact(b"Send a message")
    time.sleep(0.3)
    child.send(b"Go\r")
    child.expect(rb"tok \xc2\xb7 [\d.]+ tok/s \xc2\xb7 first")
    assert isinstance(child.after, bytes)
    speed = _speed(child.after)
    _leave(child)
    return speed


def _speed(text: bytes) -> float:
    found = _SPEED.search(text.decode("utf-8", "replace"))
    assert found, text
    return float(found[1])


if __name__ == "__main__":
    main()
