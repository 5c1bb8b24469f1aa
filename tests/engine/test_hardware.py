"""What this machine offers."""

import os

import psutil
import pytest

from hermes_cli.engine import hardware
from tests.conftest import Script


def test_there_is_a_core_and_not_more_than_the_system_has() -> None:
    assert 1 <= hardware.physical_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processes bound to cores")
def test_a_process_bound_to_one_core_uses_one(script: Script) -> None:
    code = """
    import os
    from hermes_cli.engine import hardware
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(hardware.physical_cores())
    """
    assert script(code).out == b"1\n"


def test_free_memory_is_some_and_not_more_than_there_is() -> None:
    assert 0 < hardware.available_bytes() <= psutil.virtual_memory().total


def test_the_processor_has_a_name() -> None:
    assert hardware.cpu_name().strip()
