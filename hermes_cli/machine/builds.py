"""Which build of llama.cpp suits this machine, and the command that installs it for this Python."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.devices import backends

# The CMake switch of the build, by GPU vendor.
_SWITCHES = {
    "NVIDIA": "-DGGML_CUDA=on",
    "AMD": "-DGGML_HIP=on",
    "Apple": "-DGGML_METAL=on",
    "Intel": "-DGGML_VULKAN=on",
}
_NAMES = {"NVIDIA": "CUDA", "AMD": "ROCm", "Apple": "Metal", "Intel": "Vulkan"}
# By the names that llama.cpp gives to what it computes on.
_BACKENDS = {"NVIDIA": ("CUDA", "Vulkan"), "AMD": ("ROCm", "Vulkan"), "Apple": ("MTL",)}
_HIDING = {
    "CUDA": ("CUDA_VISIBLE_DEVICES",),
    "ROCm": ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
    "Vulkan": ("GGML_VK_VISIBLE_DEVICES",),
}
_LOOK = {"NVIDIA": "nvidia-smi", "AMD": "rocminfo"}
_PCI_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
# The names llama.cpp gives to instruction sets, and the system's own for the same; only what its kernels gain from.
_INSTRUCTIONS = {
    "AVX2": "avx2",
    "AVX512": "avx512f",
    "AVX512_VNNI": "avx512_vnni",
    "AMX_INT8": "amx_int8",
    "NEON": "asimd",
    "DOTPROD": "asimddp",
    "MATMUL_INT8": "i8mm",
    "SVE": "sve",
}
_MISSED = ("AVX512", "AMX_INT8")
_WITHOUT_AMX = 'CMAKE_ARGS="-DGGML_AMX_TILE=OFF -DGGML_AMX_INT8=OFF -DGGML_AMX_BF16=OFF"'
_WHEELS = "https://abetlen.github.io/llama-cpp-python/whl"


def rebuild(environment: str = "") -> str:
    """The command that compiles llama.cpp again, with these variables set."""
    return f"{environment} {library.REBUILD}".lstrip()


def builds() -> Iterator[tuple[str, str]]:
    """Each kind of build, and the command that compiles or downloads it."""
    yield "CPU", rebuild()
    yield "CPU, ready-made", ready_made("cpu")
    for vendor, switch in _SWITCHES.items():
        yield _NAMES[vendor], rebuild(f"CMAKE_ARGS={switch}")
    yield "CUDA 12.4, ready-made", ready_made("cu124")
    yield "Metal, ready-made", ready_made("metal")
    yield "ROCm, ready-made", ready_made("rocm72")
    yield "Vulkan, ready-made", ready_made("vulkan")


def ready_made(kind: str) -> str:
    """The command that installs a wheel from llama-cpp-python's own index."""
    return f"{library.REBUILD} {library.PREFER_WHEELS} --extra-index-url {_WHEELS}/{kind}"


def features(info: str) -> list[str]:
    """The instruction sets and devices a build uses, out of llama.cpp's list of `NAME = 0 or 1`."""
    entries = (entry.strip() for entry in info.replace(":", "|").split("|"))
    return [entry.removesuffix(" = 1") for entry in entries if entry.endswith("= 1")]


def supported(cpu_flags: str) -> list[str]:
    """The instruction sets of the processor that matter, by llama.cpp's names."""
    return [name for name, flag in _INSTRUCTIONS.items() if flag in cpu_flags.split()]


def unused_instructions(built_for: Sequence[str], cpu_flags: str) -> list[str]:
    """The instruction sets that would make a build faster but that it does not use."""
    return [name for name in _MISSED if name in supported(cpu_flags) and name not in built_for]


def repacking_advice(failure: str, cpu_flags: str) -> Iterator[str]:
    """Why repacked weights are off, and how to fix it: a crash on AMX is a known fault of builds by GCC."""
    yield f"the build fails with them: {failure}"
    if "amx_int8" not in cpu_flags.split() or not failure.startswith("killed by"):
        yield f"it works without them; to try another build: {rebuild()}"
        return
    yield "it works without them. GCC miscompiles the AMX kernels, clang does not; they process prompts faster:"
    yield rebuild("CC=clang CXX=clang++")
    yield "without clang, a build without these kernels:"
    yield rebuild(_WITHOUT_AMX)


def gpu_vendors(root: Path = Path("/")) -> tuple[str, ...]:
    """The vendors of the GPUs that the system below `root` has, whether llama.cpp can use them or not."""
    if platform.system() == "Darwin":
        return ("Apple",) if platform.machine() == "arm64" else ()
    found: set[str] = set()
    for file in root.glob("sys/class/drm/card*/device/vendor"):
        with suppress(OSError):
            found.add(_PCI_VENDORS.get(file.read_text().strip(), ""))
    if (root / "proc/driver/nvidia/version").exists() or (root / "dev/nvidia0").exists():
        found.add("NVIDIA")
    return tuple(vendor for vendor in _SWITCHES if vendor in found)


def unused_gpu() -> tuple[str, str] | None:
    """Why this machine's GPU is not used, and the command that helps; None if one is used or there is none."""
    return None if library.supports_gpu() else why_unused(gpu_vendors(), backends(), os.environ)


def why_unused(
    vendors: Sequence[str], computes_on: Sequence[str], environment: Mapping[str, str]
) -> tuple[str, str] | None:
    """The same for GPUs of these vendors, a build with these backends, and these environment variables."""
    vendor = next((vendor for vendor in vendors if vendor in _BACKENDS), None)
    if vendor is None:
        return None
    unused = f"the {vendor} GPU is not used"
    usable = [backend for backend in _BACKENDS[vendor] if backend in computes_on]
    if not usable:
        return f"{unused}: this build of llama.cpp has no {_NAMES[vendor]}", rebuild(f"CMAKE_ARGS={_SWITCHES[vendor]}")
    names = (name for name in _HIDING.get(usable[0], ()) if name in environment)
    # The first GPU is always there: a batch system that selects it hides nothing.
    if hiding := next((name for name in names if environment[name].split(",")[0].strip() != "0"), None):
        return f"{unused}: {hiding}={environment[hiding]} hides it", f"unset {hiding}"
    return f"{unused}: llama.cpp does not find it; its driver may be missing", _LOOK.get(
        vendor, "hermes doctor --builds"
    )
