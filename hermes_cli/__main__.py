"""`hermes` and `python -m hermes_cli`. Ctrl-C never prints a traceback, from the first import to the last line."""

import gc
import os
import signal
import sys


def main() -> None:
    """Run the program and end the process with its exit code."""
    gc.set_threshold(10_000)  # fewer collections: most objects of a start live until its end
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from hermes_cli.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    code = run()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    finally:
        os._exit(code)  # everything is closed: tearing down the interpreter takes an eighth of the time of `ask`


if __name__ == "__main__":
    main()
