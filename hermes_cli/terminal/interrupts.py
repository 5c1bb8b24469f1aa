"""Signals and the time limit: each stops the work through a CancelToken, and each has its exit code."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import EXIT_HANGUP, EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_TIMEOUT

EXIT_CODES = {
    "interrupt": EXIT_INTERRUPTED,
    "terminate": EXIT_TERMINATED,
    "hangup": EXIT_HANGUP,
    "timeout": EXIT_TIMEOUT,
}
_REASONS = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminate", signal.SIGHUP: "hangup"}
_PATIENCE_S = 1.0
_GRACE_S = 5.0


@contextmanager
def stopping(
    cancel: CancelToken, timeout_s: float | None = None, leave: Callable[[], None] | None = None
) -> Iterator[None]:
    """Within the block SIGINT, SIGTERM, SIGHUP and the timeout cancel; a signal that was ignored stays ignored.

    With `leave`, a SIGINT more than a second after the first calls it and ends the process; without, it does nothing.
    Whatever has not heeded a stop some seconds later (a template or a tokenizer that never ends, a reader that does
    not read) is left too; only a Ctrl-C without `leave` waits on.
    """
    impatient_at = float("inf")
    timers: list[threading.Timer] = []

    def after(seconds: float, act: Callable[[], None]) -> None:
        timers.append(threading.Timer(seconds, act))
        timers[-1].daemon = True
        timers[-1].start()

    def give_up() -> None:
        if leave:
            leave()
        os._exit(EXIT_CODES[cancel.reason or "interrupt"])

    def time_out() -> None:
        cancel.cancel("timeout")
        after(_GRACE_S, give_up)

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal impatient_at
        now = time.monotonic()
        if number == signal.SIGINT and leave and now > impatient_at:
            give_up()
        if number == signal.SIGINT:
            impatient_at = min(impatient_at, now + _PATIENCE_S)
        if leave or number != signal.SIGINT:
            after(_GRACE_S, give_up)
        cancel.cancel(_REASONS[signal.Signals(number)])

    # An ignored SIGINT is how a shell keeps Ctrl-C from its background jobs; an ignored SIGHUP is nohup.
    before = {number: signal.getsignal(number) for number in _REASONS}
    taken = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in taken:
        signal.signal(number, stop)
    if timeout_s is not None:
        after(timeout_s, time_out)
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number in taken:
            signal.signal(number, before[number])
