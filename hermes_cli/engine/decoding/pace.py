"""How many threads generate while other programs run: fewer when ours wait for a core, more when cores are idle.

The threads of llama.cpp wait for each other hundreds of times a token, so one that has no core stops all of them. The
kernel counts how long each thread waited for a core, and how long each core was idle. Why: docs/engine.md.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hermes_cli.values import dataclass

_LOOK_S = 0.05  # between two looks at the counters
_LEAST_S = 0.025  # shorter, one time slice of another program weighs too much: after a short prompt
_LOOK_SHARE = 0.01  # of the time may go into looking
_WINDOW_S = 0.1  # of waiting is looked at: a program that runs for some milliseconds changes nothing
_WAITING = 0.25  # this many threads without a core are too many: on average over the window
_IDLE = 0.75  # this many idle cores are enough for one more thread
_RAISE_S, _LONGEST_RAISE_S = 0.25, 4.0  # how long cores are idle before threads are added
_STEADY_S = 1.0  # threads that were added and are dropped sooner make the next time longer
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters at one moment, in seconds: how long our threads waited for a core, how long cores were idle."""

    at_s: float
    waited_s: float
    idle_s: float


class ThreadRule:
    """Decides the number of threads, at most `most`, from one reading after the other."""

    def __init__(self, most: int) -> None:
        self.most = self.count = most
        self._readings: deque[Reading] = deque()  # with this number of threads; the first is `_WINDOW_S` old
        self._idle_since: Reading | None = None
        self._raise_s = _RAISE_S
        self._raised_at = -math.inf

    def restart(self) -> None:
        """Drop the readings, because the time since the last one was not spent on decoding."""
        self._readings.clear()
        self._idle_since = None

    def update(self, now: Reading, used: int) -> int:
        """The number of threads from now on; `used` worked since the last reading."""
        readings = self._readings
        if readings and now.at_s - readings[-1].at_s < _LEAST_S:
            return self.count
        readings.append(now)
        if len(readings) == 1:
            return self.count
        while readings[1].at_s <= now.at_s - _WINDOW_S:
            readings.popleft()
        waiting = (now.waited_s - readings[0].waited_s) / (now.at_s - readings[0].at_s)
        if waiting > _WAITING:
            self._drop(used - math.ceil(waiting - _WAITING), now.at_s)
        elif self.count < self.most:
            self._raise_if_idle(now)
        if self.count != used:
            self._readings = deque([now])
        return self.count

    def _drop(self, count: int, at_s: float) -> None:
        self._idle_since = None
        if count < self.count > 1:
            soon = at_s - self._raised_at < _STEADY_S
            self._raise_s = min(2 * self._raise_s, _LONGEST_RAISE_S) if soon else _RAISE_S
            self.count = max(1, count)

    def _raise_if_idle(self, now: Reading) -> None:
        since = self._idle_since = self._idle_since or now
        span_s = now.at_s - since.at_s
        if span_s < self._raise_s:
            return
        idle = (now.idle_s - since.idle_s) / span_s
        self._idle_since = now
        if idle >= _IDLE:
            self.count = min(self.most, self.count + math.floor(idle + 1 - _IDLE))
            self._raised_at = now.at_s


class ThreadPace:
    """Applies the rule between tokens; where the kernel has no such counters, the number of threads stays.

    Prompts are always processed by all threads: their work is handed out in pieces, so no thread waits long.
    """

    def __init__(self, most: int, apply: Callable[[int], None]) -> None:
        """`apply` sets the number of threads."""
        self._rule, self._apply = ThreadRule(most), apply
        self._used = most
        self.due_s = 0.0  # when to look next, by `time.perf_counter()`

    @property
    def count(self) -> int:
        """The number of threads that generate."""
        return self._rule.count

    def start(self) -> None:
        """Begin a request, before its prompt is processed."""
        self._rule.restart()
        self._use(self._rule.most)
        with suppress(OSError, ValueError, IndexError):
            self._rule.update(read_counters(), self._used)
        self.due_s = 0.0

    def look(self, now_s: float) -> None:
        """Look at the counters; called between two tokens, not before `due_s`."""
        with suppress(OSError, ValueError, IndexError):
            self._use(self._rule.update(read_counters(), self._used))
        done_s = time.perf_counter()
        self.due_s = done_s + max(_LOOK_S, (done_s - now_s) / _LOOK_SHARE)

    def _use(self, count: int) -> None:
        if count != self._used:
            self._apply(count)
        self._used = count


def read_counters() -> Reading:
    """The counters of this process and of the cores that it may use. Raises OSError where the system has none."""
    waited_ns = sum(_waits_ns())
    return Reading(time.perf_counter(), waited_ns / 1e9, _idle_ticks() / _TICKS_PER_S)


def _waits_ns() -> Iterator[int]:
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            yield int((task / "schedstat").read_bytes().split()[1])


def _idle_ticks() -> int:
    names = {f"cpu{number}".encode() for number in os.sched_getaffinity(0)}
    rows = (line.split() for line in Path("/proc/stat").read_bytes().splitlines() if line.startswith(b"cpu"))
    return sum(int(row[4]) + int(row[5]) for row in rows if row[0] in names)
