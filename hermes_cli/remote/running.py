"""The `hermes serve` that runs on this machine, as it announces itself to `hermes ask` and `hermes chat`."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hermes_cli import files, paths


@dataclass(frozen=True, slots=True)
class Running:
    """A server: its process, its address, its model, and the file that holds its key, if it needs one."""

    pid: int
    url: str
    model: str
    key_file: str | None = None


def running_server() -> Running | None:
    """The server that runs here, None if there is none."""
    file = paths.server_file()
    # The server locks its file: after a kill -9, another process may have its process id.
    return files.read_record(file, Running) if files.in_use(file) else None


@contextmanager
def announced(url: str, model: str, key_file: Path | None) -> Iterator[None]:
    """Announce this process as the server while the block runs."""
    mine = Running(os.getpid(), url, model, str(key_file.resolve()) if key_file else None)
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            files.write_json(paths.server_file(), mine)
            files.lock(held.enter_context(paths.server_file().open("rb")).fileno())
        try:
            yield
        finally:
            if running_server() == mine:
                with contextlib.suppress(OSError):
                    paths.server_file().unlink()
