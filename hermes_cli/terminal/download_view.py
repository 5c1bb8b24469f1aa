"""How a download is shown on stderr: one line with a bar, painted anew; off a terminal a line now and then."""

import os
import sys
import time
from collections import deque

from hermes_cli.terminal import console
from hermes_cli.terminal.columns import window_columns
from hermes_cli.terminal.sanitize import one_line

_PAINT_EVERY_S = 0.1
_LINE_EVERY_S = 5.0
_SPEED_OVER_S = 8.0
_WIDEST_BAR = 30


class DownloadView:
    """Told by the download how it goes on; `close` takes the line away."""

    def __init__(self) -> None:
        self._painting = console.is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb" and "CI" not in os.environ
        self._next = time.monotonic() + (0 if self._painting else _LINE_EVERY_S)
        self._what = ""
        self._samples: deque[tuple[float, int]] = deque()
        self._shown = False

    def update(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        """So much of `what` is done."""
        now = time.monotonic()
        if what != self._what or (self._samples and done_bytes < self._samples[-1][1]):
            self._what = what
            self._samples.clear()
        if not self._samples or now - self._samples[-1][0] >= _PAINT_EVERY_S / 2:
            self._samples.append((now, done_bytes))
            while now - self._samples[0][0] > _SPEED_OVER_S:
                self._samples.popleft()
        if now < self._next:
            return
        self._next = now + (_PAINT_EVERY_S if self._painting else _LINE_EVERY_S)
        speed = self._speed()
        if self._painting:
            self._shown = True
            line = painted_line(what, done_bytes, total_bytes, speed, window_columns(sys.stderr) - 1)
            console.put(f"\r\x1b[2K{line}")
        else:
            console.notice(f"{what}: {amounts(done_bytes, total_bytes)}{pace(done_bytes, total_bytes, speed)}")

    def note(self, text: str) -> None:
        """Something the user should know, on a line of its own."""
        self.close()
        console.notice(text)

    def close(self) -> None:
        """Leave no half of a line behind."""
        if self._shown:
            console.put("\r\x1b[2K")
        self._shown = False

    def _speed(self) -> float:
        (begin, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - begin) if end > begin else 0.0


def painted_line(what: str, done: int, total: int | None, speed: float, columns: int) -> str:
    """What fits into so many columns: the name, a bar, amounts, speed and the time that is left."""
    end = f" {amounts(done, total)}{pace(done, total, speed)}"
    if len(end) > columns:
        end = end[:columns]
    bar = min(_WIDEST_BAR, columns - len(end) - 20)
    drawn = ""
    if total and bar >= 8:
        filled = bar * done // total
        drawn = f" [{'#' * filled}{'.' * (bar - filled)}]"
    name = one_line(what)
    room = columns - len(drawn) - len(end)
    if len(name) > room:
        name = f"…{name[len(name) - room + 1 :]}" if room > 4 else ""
    return name + drawn + end


def amounts(done: int, total: int | None) -> str:
    """How much of how much."""
    unit, factor = ("GB", 1e9) if max(done, total or 0) >= 1e9 else ("MB", 1e6)
    if not total:
        return f"{done / factor:.2f} {unit}"
    return f"{done * 100 // total}% {done / factor:.2f} of {total / factor:.2f} {unit}"


def pace(done: int, total: int | None, speed: float) -> str:
    """Bytes a second and the time that is left; nothing before they are known."""
    if speed <= 0:
        return ""
    told = f" · {speed / 1e6:.1f} MB/s"
    return f"{told} · {duration((total - done) / speed)} left" if total and done < total else told


def duration(seconds: float) -> str:
    """`1:05`, or `2:01:05` with hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
