"""Which build of llama.cpp suits this machine, and the command that installs it for this Python."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.devices import backends

# What has to be said to the build, by who made the GPU.
_SWITCHES = {
    "NVIDIA": "-DGGML_CUDA=on",
    "AMD": "-DGGML_HIP=on",
    "Apple": "-DGGML_METAL=on",
    "Intel": "-DGGML_VULKAN=on",
}
_NAMES = {"NVIDIA": "CUDA", "AMD": "ROCm", "Apple": "Metal", "Intel": "Vulkan"}
# By the names that llama.cpp gives to what it computes on.
_BACKENDS = {"NVIDIA": ("CUDA", "Vulkan"), "AMD": ("ROCm", "Vulkan"), "Apple": ("MTL",)}
_HIDING = {"NVIDIA": ("CUDA_VISIBLE_DEVICES",), "AMD": ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")}
_LOOK = {"NVIDIA": "nvidia-smi", "AMD": "rocminfo"}
_PCI_MAKERS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
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
    """The command that compiles llama.cpp anew, with these variables set."""
    return f"{environment} {library.REBUILD}".lstrip()


def builds() -> Iterator[tuple[str, str]]:
    """Each kind of build, and the command that makes or fetches it."""
    yield "CPU", rebuild()
    yield "CPU, ready-made", ready_made("cpu")
    for maker, switch in _SWITCHES.items():
        yield _NAMES[maker], rebuild(f"CMAKE_ARGS={switch}")
    yield "CUDA 12.4, ready-made", ready_made("cu124")
    yield "Metal, ready-made", ready_made("metal")
    yield "ROCm, ready-made", ready_made("rocm72")
    yield "Vulkan, ready-made", ready_made("vulkan")


def ready_made(kind: str) -> str:
    """The command that fetches a wheel of llama-cpp-python's own index."""
    return f"{library.REBUILD} --prefer-binary --extra-index-url {_WHEELS}/{kind}"


def features(info: str) -> list[str]:
    """The instruction sets and devices a build uses, out of llama.cpp's list of `NAME = 0 or 1`."""
    entries = (entry.strip() for entry in info.replace(":", "|").split("|"))
    return [entry.removesuffix(" = 1") for entry in entries if entry.endswith("= 1")]


def offered(cpu_flags: str) -> list[str]:
    """What the processor has of the instruction sets that matter, by llama.cpp's names."""
    return [name for name, flag in _INSTRUCTIONS.items() if flag in cpu_flags.split()]


def unused_instructions(built_for: Sequence[str], cpu_flags: str) -> list[str]:
    """What of that a build leaves unused, though it would gain from it."""
    return [name for name in _MISSED if name in offered(cpu_flags) and name not in built_for]


def repacking_advice(failure: str, cpu_flags: str) -> Iterator[str]:
    """Why repacked weights are off, and what mends it: a crash on AMX is a known fault of builds by GCC."""
    yield f"the build fails with them: {failure}"
    if "amx_int8" not in cpu_flags.split() or not failure.startswith("killed by"):
        yield f"it runs without; to try another build: {rebuild()}"
        return
    yield "it runs without. GCC compiles the AMX kernels wrong, clang does not; they read prompts faster:"
    yield rebuild("CC=clang CXX=clang++")
    yield "without clang, a build that leaves them out:"
    yield rebuild(_WITHOUT_AMX)


def gpu_makers(root: Path = Path("/")) -> tuple[str, ...]:
    """Who made the GPUs that the system below `root` sees, whether llama.cpp can use them or not."""
    if platform.system() == "Darwin":
        return ("Apple",) if platform.machine() == "arm64" else ()
    found: set[str] = set()
    for vendor in root.glob("sys/class/drm/card*/device/vendor"):
        with suppress(OSError):
            found.add(_PCI_MAKERS.get(vendor.read_text().strip(), ""))
    if (root / "proc/driver/nvidia/version").exists() or (root / "dev/nvidia0").exists():
        found.add("NVIDIA")
    return tuple(maker for maker in _SWITCHES if maker in found)


def unused_gpu() -> tuple[str, str] | None:
    """Where llama.cpp finds no GPU beside one worth using: why it is unused, and the command to go on with."""
    return None if library.supports_gpu() else why_unused(gpu_makers(), backends(), os.environ)


def why_unused(
    makers: Sequence[str], computes_on: Sequence[str], environment: Mapping[str, str]
) -> tuple[str, str] | None:
    """The same for GPUs of these makers, a build that computes on that, and these variables."""
    maker = next((maker for maker in makers if maker in _BACKENDS), None)
    if maker is None:
        return None
    unused = f"the {maker} GPU is not used"
    if not set(_BACKENDS[maker]) & set(computes_on):
        return f"{unused}: this build of llama.cpp has no {_NAMES[maker]}", rebuild(f"CMAKE_ARGS={_SWITCHES[maker]}")
    hiding = next((name for name in _HIDING.get(maker, ()) if name in environment), None)
    if hiding:
        return f"{unused}: {hiding}={environment[hiding]} hides it", f"unset {hiding}"
    return f"{unused}: llama.cpp does not find it, perhaps for its driver", _LOOK.get(maker, "hermes doctor --builds")
