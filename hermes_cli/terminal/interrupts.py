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
from hermes_cli.terminal.prompt import keyboard
from hermes_cli.terminal.signal_handlers import on_signals

EXIT_CODES = {
    "interrupt": EXIT_INTERRUPTED,
    "terminate": EXIT_TERMINATED,
    "hangup": EXIT_HANGUP,
    "timeout": EXIT_TIMEOUT,
}
_REASONS = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminate", signal.SIGHUP: "hangup"}
_PATIENCE_S = 1.0
_GRACE_S = 5.0


class TimeIsUp(BaseException):
    """The time limit of a block; no Exception, so that no reader of a file takes it for a damaged file."""


@contextmanager
def time_limit(timeout_s: float | None) -> Iterator[None]:
    """Raise TimeIsUp in the block, which is in the main thread, after `timeout_s`; with None never."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp

    with on_signals({signal.SIGALRM: stop}):
        signal.setitimer(signal.ITIMER_REAL, timeout_s or 0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


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
        keyboard.restore()
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

    if timeout_s is not None:
        after(timeout_s, time_out)
    with on_signals(dict.fromkeys(_REASONS, stop)):
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()


@contextmanager
def ended_by_signals(end: Callable[[int], None]) -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP call `end` with their exit code, unless they were ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        end(EXIT_CODES[_REASONS[signal.Signals(number)]])

    with on_signals({signal.SIGTERM: stop, signal.SIGHUP: stop}):
        yield
