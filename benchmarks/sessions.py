"""What saving a turn costs apart from the disk, and how long it takes to list and to search many sessions.

Usage: python -m benchmarks.sessions [--sessions 10000] [--megabytes 100] [--rounds 7]
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.rounds import interleaved
from hermes_cli import files as disk
from hermes_cli import paths
from hermes_cli.chat.conversation import Turn
from hermes_cli.chat.events import Finished, Timings, Usage
from hermes_cli.chat.message import Message
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.store.sessions import format as form
from hermes_cli.store.sessions.writer import Transcript

_LENGTHS = (1, 100, 10_000)
_APPENDS = 200
_WORDS_PER_ANSWER = 300
_TURNS_PER_SESSION = 5
_NEEDLE = "quetzalcoatl"
_FINISHED = Finished("stop", Usage(900, 600, 400), Timings(), 7)


def main() -> None:
    """Measure in a folder that is removed again, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["HERMES_CLI_DATA_DIR"] = f"{place}/data"
        os.environ["HERMES_CLI_CACHE_DIR"] = f"{place}/cache"
        _measure_saving()
        _fill(given.sessions, given.megabytes * 1_000_000)
        _measure_commands(given.rounds)


def _measure_saving() -> None:
    """A turn with an answer of 300 words, appended to sessions of different lengths."""
    synced: list[float] = []
    real_sync = disk.to_disk

    def timed_sync(descriptor: int) -> None:
        started = time.perf_counter()
        real_sync(descriptor)
        synced.append(time.perf_counter() - started)

    disk.to_disk = timed_sync
    print("| a turn saved after | ms apart from fsync: median | the slowest of 200 | ms of fsync: median |")
    print("|---|---|---|---|")
    answer = _text(random.Random(1), 6 * _WORDS_PER_ANSWER)
    for length in _LENGTHS:
        transcript = Transcript.new(SessionSettings("demo"), None, [_turn(n, answer) for n in range(1, length + 1)])
        transcript.save()
        spent, waited = [], []
        for number in range(length + 1, length + 1 + _APPENDS):
            synced.clear()
            started = time.perf_counter()
            transcript.append_turn(_turn(number, answer), number - 1, model="demo", finished=_FINISHED)
            total = time.perf_counter() - started
            waited.append(1000 * sum(synced))
            spent.append(1000 * (total - sum(synced)))
        transcript.close()
        transcript.path.unlink()
        median, sync = statistics.median(spent), statistics.median(waited)
        print(f"| {length:,} turn{'s' if length > 1 else ''} | {median:.3f} | {max(spent):.3f} | {sync:.2f} |")
    disk.to_disk = real_sync


def _measure_commands(rounds: int) -> None:
    """Start to exit of the commands in a pipe: with a new index, and with one that is up to date."""
    commands = {
        "list": ["list"],
        "list the last 30": ["list", "-n", "30"],
        "search a rare word": ["search", _NEEDLE],
        "search what is nowhere": ["search", "no such word"],
        "search a common word, 30 places": ["search", "-n", "30", "the"],
        "sessions --help": ["--help"],
    }
    files = list(paths.sessions_folder().iterdir())
    size = sum(file.stat().st_size for file in files) / 1e6
    first = _timed(commands["list"])()
    index = paths.session_index_file().stat().st_size / 1e6
    print(f"\n{len(files):,} sessions, {size:.0f} MB; index {index:.0f} MB, built and listed in {first:.1f} s\n")
    print("| once the index is there | median s | slowest |\n|---|---|---|")
    for name, times in interleaved({name: _timed(args) for name, args in commands.items()}, rounds).items():
        print(f"| {name} | {statistics.median(times):.3f} | {max(times):.3f} |")


def _timed(arguments: list[str]) -> Callable[[], float]:
    def measure() -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "hermes_cli", "sessions", *arguments], capture_output=True)
        return time.perf_counter() - started

    return measure


def _fill(count: int, size: int) -> None:
    """Sessions as chats leave them, without waiting for the disk."""
    source = random.Random(2)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    folder = paths.sessions_folder()
    characters = size // count // _TURNS_PER_SESSION - 300
    for number in range(count):
        at = start + timedelta(minutes=number)
        id = f"{at:%Y%m%d-%H%M%S}-{number % 65536:04x}"
        turns = [_turn(turn, _text(source, characters)) for turn in range(1, _TURNS_PER_SESSION + 1)]
        if number % (count // 10 or 1) == 0:
            turns[-1] = _turn(_TURNS_PER_SESSION, f"they called it {_NEEDLE} then")
        records: list[form.Record] = [form.Header(id, at, SessionSettings("demo"), None)]
        records += [form.turn_added(turn, turn.id - 1 or None, "demo", _FINISHED, at) for turn in turns]
        Path(folder, f"{id}.jsonl").write_bytes(b"".join(map(form.encode, records)))


def _turn(number: int, answer: str) -> Turn:
    return Turn(number, (Message("user", f"Question {number}: the answer?"), Message("assistant", answer, "stop")))


def _text(source: random.Random, characters: int) -> str:
    words = ["".join(source.choices("etaoinshrdlu", k=source.randint(2, 9))) for _ in range(200)] + ["the"]
    return " ".join(source.choices(words, k=max(characters // 6, 1)))[:characters]


if __name__ == "__main__":
    main()
