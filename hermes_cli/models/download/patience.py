"""How long a transfer is tried again, and who is told meanwhile."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hermes_cli.errors import DownloadError
from hermes_cli.models.download.web import Unreachable

Result = TypeVar("Result")


class Watcher(Protocol):
    """Is told how a download goes on."""

    def at(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        """So much of `what` is done; called often."""

    def say(self, text: str) -> None:
        """Something the user should know."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Tries without any progress between them, and the waits: doubled each time, or as long as the server asks."""

    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 120.0

    def retry(self, act: Callable[[], Result], watcher: Watcher) -> Result:
        """`act` until it does not raise Unreachable. Raises DownloadError."""
        failures = 0
        while True:
            try:
                return act()
            except Unreachable as problem:
                failures += 1
                self.wait(problem, failures, watcher)

    def wait(self, problem: Unreachable, failures: int, watcher: Watcher) -> None:
        """Wait as becomes the `failures`-th failure in a row. Raises DownloadError after the last."""
        if failures >= self.tries:
            hint = "check the network and run the command again; a download goes on where it stopped"
            raise DownloadError(f"{problem}, after {failures} tries", hint)
        wait_s = problem.wait_s
        if wait_s is not None and wait_s > self.longest_wait_s:
            raise DownloadError(f"{problem}, and asks to wait {wait_s:,.0f} s", "run the command again then")
        wait_s = self.first_wait_s * 2 ** (failures - 1) if wait_s is None else wait_s
        watcher.say(f"{problem}; trying again in {min(wait_s, self.longest_wait_s):.0f} s")
        time.sleep(min(wait_s, self.longest_wait_s))
