"""The hardware of this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from hermes_cli.engine import hardware
from tests.conftest import Script, child_environment, hermes_command


def test_there_is_a_core_and_not_more_than_the_system_has() -> None:
    assert 1 <= hardware.physical_cores() <= hardware.logical_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processes bound to cores")
def test_a_process_bound_to_one_core_uses_one(script: Script) -> None:
    code = """
    import os
    from hermes_cli.engine import hardware
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(hardware.physical_cores(), hardware.logical_cores())
    """
    assert script(code).out == b"1 1\n"


def test_free_memory_is_some_and_not_more_than_there_is() -> None:
    assert 0 < hardware.available_bytes() <= psutil.virtual_memory().total


WITHOUT_PROC = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]


def can_hide_proc() -> bool:
    """Whether this system lets us start a program without /proc."""
    return (
        bool(shutil.which("unshare")) and subprocess.run([*WITHOUT_PROC, "true"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not can_hide_proc(), reason="needs a mount namespace")
def test_without_proc_everything_works() -> None:
    for arguments, shown in (
        (("ask", "-m", "demo", "-t0", "What is 2 plus 3?"), b"2 plus 3 is 5."),
        (("doctor",), b"memory "),
    ):
        command = [*WITHOUT_PROC, *hermes_command(*arguments)]
        child = subprocess.run(command, capture_output=True, env=child_environment(), stdin=subprocess.DEVNULL)
        assert (child.returncode, child.stderr) == (0, b"") and shown in child.stdout


GROUPS = {
    "proc/self/cgroup": "4:cpu,cpuacct:/shop\n3:memory:/shop/till\n0::/user.slice/chat.scope\n",
    "sys/fs/cgroup/memory.max": "max\n",
    "sys/fs/cgroup/user.slice/memory.max": "8000\n",
    "sys/fs/cgroup/user.slice/memory.current": "7000\n",
    "sys/fs/cgroup/user.slice/memory.stat": "anon 5000\ninactive_file 900\nactive_file 600\n",
    "sys/fs/cgroup/user.slice/chat.scope/memory.max": "4000\n",
    "sys/fs/cgroup/user.slice/chat.scope/memory.current": "1000\n",
    "sys/fs/cgroup/user.slice/chat.scope/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
    "sys/fs/cgroup/memory/shop/memory.limit_in_bytes": "6000\n",
    "sys/fs/cgroup/memory/shop/memory.usage_in_bytes": "9000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu/shop/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu/shop/cpu.cfs_period_us": "100000\n",
}


def test_limits_of_all_groups_of_processes_count(tmp_path: Path) -> None:
    for name, content in GROUPS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert sorted(hardware.memory_limits(str(tmp_path))) == [(4000, 3000), (6000, 0), (8000, 2500)]
    assert sorted(hardware.cpu_quotas(str(tmp_path))) == [1, 2]
    (tmp_path / "proc/self/cgroup").write_text("nonsense\n")
    assert not list(hardware.memory_limits(str(tmp_path))) and not list(hardware.cpu_quotas(str(tmp_path)))


def test_the_speed_of_memory_is_found_in_little_of_it_however_many_cores_there_are(script: Script) -> None:
    code = """
    import resource
    from hermes_cli.engine import hardware
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    print(hardware.reading_bytes_per_s(64) > 0)
    """
    assert script(code).out == b"True\n"


def test_the_processor_has_a_name() -> None:
    assert hardware.cpu_name().strip()


def test_the_energy_of_all_processors_is_added(tmp_path: Path) -> None:
    assert hardware.energy_joules(str(tmp_path)) is None
    for number, microjoules in enumerate((1_500_000, 2_000_000)):
        for name in (f"intel-rapl:{number}", f"intel-rapl:{number}:0"):  # the second is a part of the first
            folder = tmp_path / "sys" / "class" / "powercap" / name
            folder.mkdir(parents=True)
            (folder / "energy_uj").write_text(f"{microjoules}\n")
    assert hardware.energy_joules(str(tmp_path)) == 3.5
    for number, name in enumerate(("package-0", "psys")):
        (tmp_path / f"sys/class/powercap/intel-rapl:{number}/name").write_text(f"{name}\n")
    assert hardware.energy_joules(str(tmp_path)) == 1.5, "that of the whole machine contains the other"


def test_the_memory_of_this_process_is_known() -> None:
    assert 5e6 < hardware.process_bytes() < 64e9
