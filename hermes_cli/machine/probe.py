"""Which settings of the installed llama.cpp work on this machine, tested once and remembered.

The verdict is saved per library build and CPU; `probe_child` tests.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from hermes_cli import files, paths
from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.fingerprint import fingerprint
from hermes_cli.machine.verdict import TIMEOUT_S, Verdict


def verdict(timeout_s: float = TIMEOUT_S, may_continue: Callable[[], bool] = lambda: True) -> Verdict:
    """The remembered verdict for this library and CPU, else a new one (well under a second).

    A child is given up after `timeout_s`. Raises LoadCancelled as soon as `may_continue` says no, else EngineError.
    """
    key = fingerprint()
    remembered = files.read_records(paths.probe_file(), Verdict)
    known = remembered.get(key)
    if known is None or (known.expires is not None and known.expires < time.time()):
        from hermes_cli.machine.probe_child import tested

        known = remembered[key] = tested(timeout_s, may_continue)
        _write(remembered)
    return known


def current_verdict(may_continue: Callable[[], bool] = lambda: True) -> Verdict:
    """The verdict, tested again if a GPU was added or removed since. Raises as `verdict`."""
    known = verdict(may_continue=may_continue)
    if library.supports_gpu() == (known.gpu is not None):
        return known
    forget()
    return verdict(may_continue=may_continue)


def forget() -> None:
    """Drop all verdicts, so that the next use tests the library again."""
    with suppress(OSError):
        paths.probe_file().unlink()


def _write(verdicts: Mapping[str, Verdict]) -> None:
    """Save the verdicts; where that is impossible the next start tests again."""
    with suppress(OSError):
        files.write_json(paths.probe_file(), verdicts)
