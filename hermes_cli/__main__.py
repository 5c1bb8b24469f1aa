"""`hermes` and `python -m hermes_cli`. Ctrl-C never prints a traceback, from the first import to the last line."""

import os
import signal
import sys


def main() -> int:
    """Run the program and return its exit code."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from hermes_cli.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    code = run()
    # All output is written; a signal now could only change the exit code.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return code


if __name__ == "__main__":
    sys.exit(main())
