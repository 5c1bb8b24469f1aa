"""Handlers for the time of a block."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


@contextlib.contextmanager
def on_signals(actions: dict[int, Handler]) -> Iterator[None]:
    """Within the block a signal calls its action; outside the main thread nothing changes.

    A signal that was ignored stays ignored: so a shell keeps Ctrl-C from its background jobs, and nohup the hang-up.
    """
    taken = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in actions}
        taken = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
        for number in taken:
            take(number, actions[number])
    try:
        yield
    finally:
        for number, handler in taken.items():
            take(number, handler)


def on_continue(act: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """Within the block `act` is called when the process continues after a stop."""
    return on_signals({signal.SIGCONT: lambda number, frame: act()})


def take(number: int, handler: Handler | int | None) -> None:
    """As `signal.signal`; but continuing after a stop does not count as an interruption.

    A job that a shell stopped where it sets its terminal would otherwise take that for lost once it is in front.
    """
    signal.signal(number, handler)
    if number == signal.SIGCONT:
        signal.siginterrupt(number, False)
