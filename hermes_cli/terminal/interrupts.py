"""Signals and the time limit: each stops the work through a CancelToken, and each has its exit code."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hermes_cli.chat.request import CancelToken
from hermes_cli.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_TIMEOUT

EXIT_CODES = {"interrupt": EXIT_INTERRUPTED, "terminate": EXIT_TERMINATED, "timeout": EXIT_TIMEOUT}


@contextmanager
def stopping(cancel: CancelToken, timeout_s: float | None = None) -> Iterator[None]:
    """Within the block SIGINT, SIGTERM and the timeout cancel; a second SIGINT leaves at once."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if cancel.cancelled:
            os._exit(EXIT_INTERRUPTED)
        cancel.cancel("interrupt")

    def terminate(number: int, frame: FrameType | None) -> None:
        cancel.cancel("terminate")

    before = signal.signal(signal.SIGINT, interrupt), signal.signal(signal.SIGTERM, terminate)
    timer = threading.Timer(timeout_s, cancel.cancel, ("timeout",)) if timeout_s is not None else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer:
            timer.cancel()
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
