"""The hardware of this machine: processor cores, free memory, the CPU's name and instruction sets."""

import os
import platform
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

_COPY_BYTES, _ALL_BYTES, _COPIES = 32 << 20, 512 << 20, 8

# Controller (none in version 2), limit, usage, and the part of the usage that is reclaimable file cache.
_MEMORY_FILES = (
    ("", "memory.max", "memory.current", ("inactive_file", "active_file")),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
)


def physical_cores() -> int:
    """Physical cores that this process may use: more threads than these slow decoding down."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:
        return _psutil_cores()
    siblings = {_read(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in allowed}
    return max(1, min([len(siblings), *cpu_quotas()]))


def logical_cores() -> int:
    """The threads that can run at once in this process: with SMT more than there are physical cores."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:
        allowed = os.cpu_count() or 1
    return max(1, min([allowed, *cpu_quotas()]))


def _psutil_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def cpu_quotas(root: str = "") -> Iterator[int]:
    """The limits of this container and other groups of processes below `root`, in whole cores."""
    quotas = [(_read(f"{group}/cpu.max") or "").partition(" ")[::2] for group in _groups(root, "")]
    for group in _groups(root, "cpu"):
        quotas.append((_read(f"{group}/cpu.cfs_quota_us") or "", _read(f"{group}/cpu.cfs_period_us") or ""))
    for quota, period in quotas:
        if quota.isdigit() and period.isdigit():
            yield max(1, round(int(quota) / int(period)))


def memory_limits(root: str = "") -> Iterator[tuple[int, int]]:
    """The limits of this container and other groups of processes below `root`, with what is left of each."""
    for controller, limit_file, usage_file, cache_names in _MEMORY_FILES:
        for group in _groups(root, controller):
            limit, usage = _read(f"{group}/{limit_file}"), _read(f"{group}/{usage_file}")
            if limit and usage and limit.isdigit() and usage.isdigit():
                pairs = (line.split() for line in (_read(f"{group}/memory.stat") or "").splitlines())
                cached = sum(int(value) for name, value in pairs if name in cache_names)
                yield int(limit), max(0, int(limit) - int(usage) + cached)


def _groups(root: str, controller: str) -> list[str]:
    """The folder of the control group that this process is in, and those of all groups around it."""
    top = f"{root}/sys/fs/cgroup/{controller}"
    for line in (_read(f"{root}/proc/self/cgroup") or "").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if controller in controllers.split(","):
            return [f"{top}{group}" for group in (path, *PurePosixPath(path).parents)]
    return [top]


def memory_bytes() -> int:
    """The memory of this machine, or of this container."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([total, *(limit for limit, _ in memory_limits())])


def available_bytes() -> int:
    """Memory that can be allocated without swapping, within this container's limit."""
    available = _linux_available()
    if available is None:
        available = _psutil_available()
    return min([available, *(left for _, left in memory_limits())])


def _linux_available() -> int | None:
    for line in (_read("/proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _psutil_available() -> int:
    import psutil

    try:
        return int(psutil.virtual_memory().available)
    except OSError:  # Linux without /proc
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def reading_bytes_per_s(cores: int) -> float:
    """How fast `cores` cores together read memory, estimated from how fast they copy it; takes a tenth of a second.

    Generating a token reads all weights once, so this divided by a model's size is about its tokens per second.
    """
    import ctypes
    import threading

    new = ctypes.create_string_buffer
    size = min(_COPY_BYTES, _ALL_BYTES // (2 * cores))
    blocks = [(new(size), new(size)) for _ in range(cores)]

    def copy(source: object, target: object, times: int) -> None:
        for _ in range(times):
            ctypes.memmove(target, source, size)  # type: ignore[arg-type]

    for source, target in blocks:
        copy(source, target, 1)  # so that all pages are allocated
    threads = [threading.Thread(target=copy, args=(*block, _COPIES)) for block in blocks]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 2 * cores * _COPIES * size / (time.perf_counter() - started)


def process_bytes() -> int:
    """The machine's memory that this process uses now, mapped files included."""
    import psutil

    try:
        return int(psutil.Process().memory_info().rss)
    except psutil.Error:  # Linux without /proc, where only the most that it used is known
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def energy_joules(root: str = "") -> float | None:
    """The energy that the processors have used since some moment; None if the system does not say, or not to us."""
    domains = sorted(Path(f"{root}/sys/class/powercap").glob("intel-rapl:?"))
    # On laptops there is one for the whole machine, `psys`, which counts the processor again.
    readings = [_read(f"{domain}/energy_uj") for domain in domains if _read(f"{domain}/name") != "psys"]
    values = [int(reading) / 1e6 for reading in readings if reading and reading.isdigit()]
    return sum(values) if values else None


def cpu_name() -> str:
    """The processor's model name."""
    return _cpu().get("model name") or platform.processor() or platform.machine()


def cpu_flags() -> str:
    """The processor's instruction sets as the system lists them; empty if it does not."""
    return _cpu().get("flags") or _cpu().get("Features") or ""


def gains_from_repacking() -> bool:
    """Whether repacked weights make up for their slow load here.

    On x86 without AMX, repacked Q4_K weights processed prompts at half the speed; AMX and Arm kernels need them.
    """
    return "amx_int8" in cpu_flags().split() or platform.machine() in ("aarch64", "arm64")


@cache
def _cpu() -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo, which takes long to read on a machine with many."""
    first = (_read("/proc/cpuinfo") or "").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
