"""Start to exit of `hermes` as multiples of the same Python's `python -c pass`, and what the imports cost.

Usage: python -m benchmarks.startup [--rounds 15]
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.rounds import interleaved, table

HERMES = str(Path(sys.executable).with_name("hermes"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "hermes --version": [HERMES, "--version"],
    "hermes --help": [HERMES, "--help"],
    "hermes ask": [HERMES, "ask", "-m", "demo", "-t", "0", "Hello, who are you?"],
}


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    measures = {name: _timed(command) for name, command in COMMANDS.items()}
    with tempfile.TemporaryDirectory() as folder:  # for the sessions, which are saved as ever
        os.environ["HERMES_CLI_DATA_DIR"] = folder
        print(table(interleaved(measures, given.rounds), "python -c pass", "s"))
        print("\n| import of `hermes ask` | ms with what it imports |\n|---|---|")
        for name, milliseconds in import_costs():
            print(f"| {name} | {milliseconds:.1f} |")


def _timed(command: list[str]) -> Callable[[], float]:
    def measure() -> float:
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        return time.perf_counter() - started

    return measure


def import_costs() -> list[tuple[str, float]]:
    """The packages of note and their cumulative import times, slowest first."""
    command = [sys.executable, "-X", "importtime", "-m", "hermes_cli", *COMMANDS["hermes ask"][1:]]
    log = subprocess.run(command, capture_output=True, check=True).stderr.decode()
    rows = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)", log)
    shown = {"typer", "llama_cpp.llama_cpp", "ctypes", "hermes_cli.cli.app", "hermes_cli.cli.opening"}
    return sorted(((name, int(cost) / 1000) for cost, name in rows if name in shown), key=lambda row: -row[1])


if __name__ == "__main__":
    main()
