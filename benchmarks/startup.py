"""Start to exit of `hermes` as multiples of the same Python's `python -c pass`, what imports cost, and calls of `ask`.

The endpoint is `hermes serve` with the demo model, started here.

Usage: python -m benchmarks.startup [--rounds 15]
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.rounds import interleaved, table

HERMES = str(Path(sys.executable).with_name("hermes"))
ASK = ["ask", "-t", "0", "Hello, who are you?"]
SHOWN = {
    "typer",
    "dataclasses",
    "httpx2",
    "http.client",
    "llama_cpp.llama_cpp",
    "ctypes",
    "hermes_cli.cli.app",
    "hermes_cli.cli.ask.ask",
    "hermes_cli.session.opening",
    "hermes_cli.remote.backend",
    "hermes_cli.engine.local",
    "hermes_cli.machine.load_plan",
}
# Prints how many functions of the package are entered before the first message is sent; class bodies are not counted.
COUNT = """
import sys
from hermes_cli.cli.main import main
entered = set()
def follow(frame, event, _):
    code = frame.f_code
    if event == "call" and "hermes_cli" in code.co_filename and code.co_flags & 1 and not code.co_name.startswith("<"):
        if code.co_qualname == "Session.send":
            sys.setprofile(None)
        else:
            entered.add(code)
sys.setprofile(follow)
code = main(sys.argv[1:])
print(len(entered), file=sys.stderr)
"""


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is not compiled at each start
    with tempfile.TemporaryDirectory() as folder:  # for the sessions, which are saved as usual
        os.environ["HERMES_CLI_DATA_DIR"] = folder
        with serving() as url:
            here, there = [*ASK, "-m", "demo"], [*ASK, "--endpoint", url]
            commands = {
                "python -c pass": [sys.executable, "-c", "pass"],
                "hermes --version": [HERMES, "--version"],
                "hermes --help": [HERMES, "--help"],
                "hermes ask": [HERMES, *here],
                "hermes ask --endpoint": [HERMES, *there],
            }
            measures = {name: _timed(command) for name, command in commands.items()}
            print(table(interleaved(measures, rounds), "python -c pass", "s"))
            for name, arguments in (("hermes ask", here), ("hermes ask --endpoint", there)):
                print(f"\n| import of `{name}` | ms with what it imports |\n|---|---|")
                for module, milliseconds in import_costs(arguments):
                    print(f"| {module} | {milliseconds:.1f} |")
                print(f"\n`{name}` enters {entered(arguments)} functions of the package before it sends the message.")


@contextmanager
def serving() -> Iterator[str]:
    """The URL of `hermes serve` on the demo model, which ends with the block."""
    command = [HERMES, "serve", "-m", "demo", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        assert server.stderr
        try:
            found = (re.search(r"http://\S+", line) for line in server.stderr)
            yield next(match[0] for match in found if match)
        finally:
            server.terminate()


def _timed(command: list[str]) -> Callable[[], float]:
    def measure() -> float:
        started = time.perf_counter()
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return time.perf_counter() - started

    return measure


def import_costs(arguments: list[str]) -> list[tuple[str, float]]:
    """The packages of note and their cumulative import times, slowest first."""
    command = [sys.executable, "-X", "importtime", "-m", "hermes_cli", *arguments]
    log = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stderr.decode()
    rows = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)", log)
    return sorted(((name, int(cost) / 1000) for cost, name in rows if name in SHOWN), key=lambda row: -row[1])


def entered(arguments: list[str]) -> int:
    """How many functions of the package a command enters before its first message is sent."""
    command = [sys.executable, "-c", COUNT, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return int(done.stderr.split()[-1])


if __name__ == "__main__":
    main()
