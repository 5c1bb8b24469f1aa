"""What this machine offers: processor cores, free memory, and what names its CPU."""

import os
import platform
import time
from pathlib import Path

_COPY_BYTES, _COPIES = 32 << 20, 8

# Folder, limit, usage, and what of the usage is file cache that gives way.
_CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", ("inactive_file", "active_file")),
    (
        "/sys/fs/cgroup/memory",
        *("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ("total_inactive_file", "total_active_file"),
    ),
)


def physical_cores() -> int:
    """Cores this process may use, hyperthreads counted once: more threads than these slow decoding down."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:
        return _psutil_cores()
    siblings = {_read(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in allowed}
    return max(1, min(len(siblings), _cgroup_cores() or len(siblings)))


def _psutil_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def _cgroup_cores() -> int | None:
    """The CPU quota of this container in whole cores, where there is one."""
    quota, _, period = (_read("/sys/fs/cgroup/cpu.max") or "").partition(" ")
    if not period:
        quota = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") or ""
        period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us") or ""
    if not quota.isdigit() or not period.isdigit():
        return None
    return max(1, round(int(quota) / int(period)))


def available_bytes() -> int:
    """Memory that can be taken without swapping, within this container's limit."""
    available = _linux_available()
    if available is None:
        import psutil

        available = int(psutil.virtual_memory().available)
    for folder, limit_file, usage_file, cache_names in _CGROUPS:
        limit, usage = _read(f"{folder}/{limit_file}"), _read(f"{folder}/{usage_file}")
        if limit and usage and limit.isdigit() and usage.isdigit():
            pairs = (line.split() for line in (_read(f"{folder}/memory.stat") or "").splitlines())
            cached = sum(int(value) for name, value in pairs if name in cache_names)
            available = min(available, max(0, int(limit) - int(usage) + cached))
    return available


def _linux_available() -> int | None:
    for line in (_read("/proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def reading_bytes_per_s() -> float:
    """How fast the cores together read memory, guessed from how fast they copy it; takes a tenth of a second.

    Writing a token takes reading all weights once, so this over the size of a model is about its tokens a second.
    """
    import ctypes
    import threading

    new = ctypes.create_string_buffer
    blocks = [(new(_COPY_BYTES), new(_COPY_BYTES)) for _ in range(physical_cores())]

    def copy(source: object, target: object, times: int) -> None:
        for _ in range(times):
            ctypes.memmove(target, source, _COPY_BYTES)  # type: ignore[arg-type]

    for source, target in blocks:
        copy(source, target, 1)  # so that all of it is really there
    threads = [threading.Thread(target=copy, args=(*block, _COPIES)) for block in blocks]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 2 * len(threads) * _COPIES * _COPY_BYTES / (time.perf_counter() - started)


def cpu_name() -> str:
    """The processor's model name."""
    return _cpu_field("model name") or platform.processor() or platform.machine()


def cpu_flags() -> str:
    """The instruction sets the processor offers, as the system lists them; empty where it does not."""
    return _cpu_field("flags") or _cpu_field("Features") or ""


def gains_from_repacking() -> bool:
    """Whether llama.cpp's repacked weights are worth their slow load here.

    Measured on x86 without AMX, repacked Q4_K weights read a prompt at half the speed; AMX and Arm kernels need them.
    """
    return "amx_int8" in cpu_flags().split() or platform.machine() in ("aarch64", "arm64")


def _cpu_field(wanted: str) -> str | None:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == wanted:
            return value.strip()
    return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
