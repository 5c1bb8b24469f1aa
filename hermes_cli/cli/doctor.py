"""`hermes doctor`: what this machine has, what is used, what is wrong, and the command that mends it."""

import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from hermes_cli import __version__, paths
from hermes_cli.cli import options
from hermes_cli.errors import EngineError, HermesError, UsageError
from hermes_cli.store.settings import KEYS, Settings, read_settings, written
from hermes_cli.terminal import console
from hermes_cli.terminal.answer_output import StandardOutput
from hermes_cli.terminal.sanitize import one_line

Finding = tuple[str, str]
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


def doctor(
    again: Annotated[bool, typer.Option("--again", help="Prove llama.cpp anew, as after a new driver.")] = False,
    color: options.ColorChoice = None,
) -> int:
    """Tell what this machine has, what is used, what is wrong and what mends it. Exits 1 if nothing can be answered."""
    settings, problems = read_settings()
    console.use_color(color or settings.color)
    if again:
        from hermes_cli.engine import probe

        probe.forget()
    healthy = not problems
    findings = [*_program(), *_machine(), *_settings(settings, problems)]
    try:
        findings += _engine()
    except HermesError as problem:
        healthy = False
        findings += [("engine", f"does not run: {problem.message}"), ("mend it", problem.hint)]
    width = max(len(name) for name, _ in findings)
    output = StandardOutput()
    for name, value in findings:
        output.write(f"{name:<{width}}  {one_line(value)}\n")
    return 0 if healthy else EngineError.exit_code


def _program() -> Iterator[Finding]:
    yield "hermes", f"{__version__} in {Path(__file__).parents[1]}"
    yield "python", f"{platform.python_version()} at {sys.executable}"
    yield "binding", f"llama-cpp-python {_version('llama-cpp-python')}"
    ours = Path(sys.argv[0]).resolve()
    for command in ("hermes", "hermes-cli"):
        found = shutil.which(command)
        if found is None:
            yield f"`{command}`", "not on PATH"
        elif ours.name.startswith("hermes") and Path(found).resolve().parent != ours.parent:
            yield f"`{command}`", f"another program wins on PATH: {found}; start this one as {ours}"
        else:
            yield f"`{command}`", found


def _version(package: str) -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _machine() -> Iterator[Finding]:
    from hermes_cli.engine import hardware

    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "cpu", f"{hardware.cpu_name()}, {hardware.physical_cores()} cores to use"
    yield "memory", f"{hardware.available_bytes() / 1e9:.1f} GB available"
    yield "models", _folder(paths.models_folder())
    yield "config", _folder(paths.config_folder())
    yield "cache", _folder(paths.cache_folder())
    yield "prompts read before", _kept_states()


def _kept_states() -> str:
    from hermes_cli.engine import kv_store

    count, size = kv_store.size(paths.kv_folder())
    return f"{paths.kv_folder()}: {count} kept, {size / 1e6:.1f} MB" if count else "none kept yet"


def _settings(settings: Settings, problems: Sequence[UsageError]) -> Iterator[Finding]:
    yield "settings", _file(paths.config_file())
    for name, origin in settings.origins.items():
        value = written(getattr(settings, name))
        yield "", f"{name} = {value}" + (f" ({origin})" if origin == KEYS[name].variable else "")
    for problem in problems:
        yield "", f"wrong: {problem.message}; {problem.hint}"


def _file(path: Path) -> str:
    return f"{path}{'' if path.exists() else ' (not there: nothing is set)'}"


def _folder(path: Path) -> str:
    return f"{path}{'' if path.is_dir() else ' (not made yet)'}"


def _engine() -> Iterator[Finding]:
    from hermes_cli.engine import hardware, native, probe

    yield "library", f"{native.library_folder()}"
    verdict = probe.verdict()
    built_for = _features(native.system_info())
    yield "llama.cpp", f"{native.library_version()}: {', '.join(built_for)}"
    yield from instructions(built_for, hardware.cpu_flags())
    yield "probe", "the demo model answers right with this build on this CPU"
    repacked = verdict.extra_buffers and hardware.gains_from_repacking()
    yield "repacked weights", "used" if repacked else "off"
    if not verdict.extra_buffers:
        yield from repacking_advice(verdict.failures.get("extra_buffers", "unknown"), hardware.cpu_flags())
    if verdict.gpu is None:
        yield "gpu", "this build has no GPU support; everything runs on the CPU"
    elif verdict.gpu:
        yield "gpu", "used for all layers that --gpu-layers allows"
    else:
        yield "gpu", f"found, but not used, because it fails: {verdict.failures.get('gpu', 'unknown')}"


def instructions(built_for: Sequence[str], cpu_flags: str) -> Iterator[Finding]:
    """What the processor offers of the instruction sets that matter, and what of it the build leaves unused."""
    offered = [name for name, flag in _INSTRUCTIONS.items() if flag in cpu_flags.split()]
    if offered:
        yield "this cpu has", ", ".join(offered)
    unused = [name for name in _MISSED if name in offered and name not in built_for]
    if unused:
        yield "", f"the build does not use {', '.join(unused)}; one made on this machine does: {_rebuild()}"


def repacking_advice(failure: str, cpu_flags: str) -> Iterator[Finding]:
    """Why repacked weights are off, and what mends it: a crash on AMX is a known fault of builds by GCC."""
    yield "", f"the build fails with them: {failure}"
    if "amx_int8" not in cpu_flags.split() or not failure.startswith("killed by"):
        yield "", f"it runs without; to try another build: {_rebuild()}"
        return
    yield "", "it runs without. GCC compiles the AMX kernels wrong, clang does not; they read prompts faster:"
    yield "", _rebuild("CC=clang CXX=clang++")
    yield "", "without clang, a build that leaves them out:"
    yield "", _rebuild(_WITHOUT_AMX)


def _rebuild(environment: str = "") -> str:
    """The command that compiles llama.cpp anew for this Python."""
    from hermes_cli.engine import native

    return f"{environment} {native.REBUILD}".lstrip()


def _features(info: str) -> list[str]:
    """The features that are on, out of llama.cpp's list of `NAME = 0 or 1`."""
    entries = (entry.strip() for entry in info.replace(":", "|").split("|"))
    return [entry.removesuffix(" = 1") for entry in entries if entry.endswith("= 1")]
