"""Progress of a download on stderr: a bar of rich.progress on a terminal, else a line every few seconds."""

import os
import sys
import time
from typing import TYPE_CHECKING

from hermes_cli.terminal import console
from hermes_cli.terminal.columns import terminal_columns
from hermes_cli.terminal.sanitize import one_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY_S = 5.0
_BAR_FROM_COLUMNS = 80


class DownloadView:
    """Shows the progress of a download; `close` removes the bar."""

    def __init__(self) -> None:
        on_terminal = console.is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb" and "CI" not in os.environ
        self._bar = _bar() if on_terminal else None
        self._task: TaskID | None = None
        self._what = ""
        self._first_bytes = 0
        self._started = self._last_line = time.monotonic()

    def update(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        """Show that `done_bytes` of `what` are done."""
        is_new = what != self._what
        if is_new:
            self._what, self._first_bytes, self._started = what, done_bytes, time.monotonic()
        if self._bar:
            self._update_bar(self._bar, is_new, done_bytes, total_bytes)
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            speed = (done_bytes - self._first_bytes) / (self._last_line - self._started)
            console.notice(f"{what}: {amounts(done_bytes, total_bytes)}{pace(done_bytes, total_bytes, speed)}")

    def note(self, text: str) -> None:
        """Print something the user should know, on a line of its own."""
        self.close()
        console.notice(text)

    def close(self) -> None:
        """Remove the bar; the next update brings it back."""
        if self._bar:
            self._bar.stop()

    def _update_bar(self, bar: "Progress", is_new: bool, done_bytes: int, total_bytes: int | None) -> None:
        if self._task is None or is_new:
            if self._task is not None:
                bar.remove_task(self._task)
            self._task = bar.add_task(one_line(self._what), completed=done_bytes, total=total_bytes)
        bar.update(self._task, completed=done_bytes, total=total_bytes)
        bar.start()


def _bar() -> "Progress":
    """The columns that fit the terminal width: the name is cut first, then the bar is dropped."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.table import Column

    width = terminal_columns(sys.stderr) - 1
    name = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    figures = (TextColumn("{task.percentage:.0f}%"), DownloadColumn(), TransferSpeedColumn())
    wide = (BarColumn(bar_width=width // 4), *figures, TimeRemainingColumn(compact=True))
    return Progress(
        name,
        *(wide if width >= _BAR_FROM_COLUMNS else figures),
        console=Console(stderr=True, width=width, no_color=not console.colored(), force_terminal=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        expand=True,
    )


def amounts(done: int, total: int | None) -> str:
    """`50% 0.51 of 1.02 GB`, or `0.51 GB` where the total is not known."""
    unit, factor = ("GB", 1e9) if max(done, total or 0) >= 1e9 else ("MB", 1e6)
    if not total:
        return f"{done / factor:.2f} {unit}"
    return f"{done * 100 // total}% {done / factor:.2f} of {total / factor:.2f} {unit}"


def pace(done: int, total: int | None, speed: float) -> str:
    """Speed in bytes per second and the time left; empty before they are known."""
    if speed <= 0:
        return ""
    shown = f" · {speed / 1e6:.1f} MB/s"
    return f"{shown} · {duration((total - done) / speed)} left" if total and done < total else shown


def duration(seconds: float) -> str:
    """`1:05`, or `2:01:05` with hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
