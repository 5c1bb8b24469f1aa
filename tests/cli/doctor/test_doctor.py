"""`hermes doctor`: facts, problems, and which program the command `hermes` starts."""

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from hermes_cli import __version__
from hermes_cli.cli.doctor.report import contents
from hermes_cli.engine import hardware
from hermes_cli.engine.llama.devices import backends
from hermes_cli.engine.llama.library import REBUILD, supports_gpu
from hermes_cli.machine.builds import gpu_vendors, repacking_advice, supported, unused_instructions, why_unused
from tests.conftest import BrokenLibrary, Hermes, Script, child_environment
from tests.installed_script import install_script


def test_a_healthy_machine_gives_0_and_names_versions_probe_and_folders(hermes: Hermes) -> None:
    result = hermes("doctor")
    shown = result.out.decode()
    parts = [__version__, importlib.metadata.version("llama-cpp-python"), "the demo model answers correctly"]
    parts += [sys.executable, os.environ["HERMES_CLI_CACHE_DIR"], os.environ["HERMES_CLI_DATA_DIR"]]
    parts += [os.environ["HERMES_CLI_CONFIG_DIR"]]
    assert result.code == 0
    parts += [] if supports_gpu() else ["none that this build of llama.cpp can use; everything runs on the CPU"]
    assert [part for part in parts if part not in shown] == []


def test_it_says_which_program_wins_on_path(tmp_path: Path) -> None:
    ours = install_script(tmp_path / "ours")
    other = install_script(tmp_path / "other", program="print('another')")
    for first, second, shown in (
        (ours, other, f"{ours}"),
        (other, ours, f"another program comes first on PATH: {other}"),
    ):
        path = os.pathsep.join([str(first.parent), str(second.parent), os.environ["PATH"]])
        child = subprocess.run(
            [ours, "doctor"], env=child_environment({"PATH": path}), capture_output=True, text=True, timeout=60
        )
        line = next(line for line in child.stdout.splitlines() if line.startswith("`hermes` "))
        assert (child.returncode, child.stderr) == (0, "")
        assert line.split(maxsplit=1)[1].startswith(shown)
        assert f"start this one as {ours}" in line or first == ours


def test_it_knows_its_own_command_without_being_started_by_it(hermes: Hermes, tmp_path: Path) -> None:
    other = install_script(tmp_path / "other", program="print('another')")
    own = Path(sysconfig.get_path("scripts"))
    shown = hermes("doctor", env={"PATH": os.pathsep.join((str(other.parent), str(own)))}).out.decode()
    expected = f"another program comes first on PATH: {other}; start this one as {sys.executable} -m hermes_cli\n"
    assert expected in shown
    found = hermes("doctor", "--json", env={"PATH": str(own)}).out
    commands = json.loads(found)["program"]["commands"].values()
    assert all(command["ours"] == (own / "hermes").exists() for command in commands)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processes bound to cores")
def test_one_core_is_not_several(script: Script) -> None:
    code = """
    import os
    from hermes_cli.cli.main import main
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main(["doctor"])
    """
    assert b", 1 core\n" in script(code).out


def test_missing_library_is_reported_with_exit_code_1(hermes: Hermes, tmp_path: Path) -> None:
    nowhere = {"LLAMA_CPP_LIB_PATH": str(tmp_path)}
    result = hermes("doctor", env=nowhere)
    shown = result.out.decode()
    assert result.code == 1
    assert "does not run" in shown and "unset LLAMA_CPP_LIB_PATH" in shown
    assert __version__ in shown and "Traceback" not in shown
    asked = hermes("ask", "-m", "demo", "Hi", env=nowhere)
    assert (asked.code, asked.err.splitlines()[-1].split(":")[0]) == (1, "hint")


def test_a_build_whose_fast_setting_crashes_gets_a_command_to_copy(
    hermes: Hermes, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    library = {"LLAMA_CPP_LIB_PATH": str(broken_library("CRASHES_WHEN_FAST")), "HERMES_CLI_CACHE_DIR": str(tmp_path)}
    result = hermes("doctor", env=library)
    assert result.code == 0
    assert "the build fails with them: killed by SIGSEGV" in result.out.decode()
    assert REBUILD in result.out.decode()
    assert ("AMX" in result.out.decode()) == ("amx_int8" in hardware.cpu_flags().split())


@pytest.mark.parametrize(
    ("failure", "flags", "blamed"),
    [
        ("killed by SIGSEGV", "avx2 amx_tile amx_int8", True),
        ("killed by SIGSEGV", "avx2", False),
        ("no answer in time", "avx2 amx_tile amx_int8", False),
        ("a wrong answer: ''", "avx2 amx_tile amx_int8", False),
    ],
)
def test_amx_is_blamed_only_for_a_crash_on_a_processor_that_has_it(failure: str, flags: str, blamed: bool) -> None:
    shown = list(repacking_advice(failure, flags))
    assert any("AMX" in line for line in shown) == blamed
    commands = [line for line in shown if line.startswith(("CC=clang", "CMAKE_ARGS="))]
    assert len(commands) == (2 if blamed else 0)
    assert all(REBUILD in command for command in commands)


def test_it_names_what_the_processor_has_and_the_build_does_not_use() -> None:
    flags = "sse2 avx2 avx512f avx512_vnni amx_int8"
    assert supported(flags) == ["AVX2", "AVX512", "AVX512_VNNI", "AMX_INT8"]
    assert unused_instructions(["AVX", "AVX2", "AVX512"], flags) == ["AMX_INT8"]
    assert unused_instructions(["AVX2", "AVX512", "AMX_INT8"], flags) == []
    assert unused_instructions(["AVX2"], "") == []


def test_gpus_are_seen_without_llama_cpp(tmp_path: Path) -> None:
    assert gpu_vendors(tmp_path) == () or sys.platform == "darwin"
    for card, vendor in (("card0", "0x8086"), ("card1", "0x1002"), ("card2", "0x1234")):
        folder = tmp_path / "sys/class/drm" / card / "device"
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
    assert gpu_vendors(tmp_path) == ("AMD", "Intel") or sys.platform == "darwin"
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert gpu_vendors(tmp_path) == ("NVIDIA", "AMD", "Intel") or sys.platform == "darwin"


@pytest.mark.parametrize(
    ("makers", "computes_on", "environment", "why", "command"),
    [
        (["NVIDIA", "Intel"], ["CPU"], {}, "has no CUDA", "-DGGML_CUDA=on"),
        (["NVIDIA"], ["CUDA", "CPU"], {"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES= hides it", "unset CUDA_VIS"),
        (["NVIDIA"], ["CUDA", "CPU"], {"CUDA_VISIBLE_DEVICES": "0,1"}, "does not find it", "nvidia-smi"),
        (["NVIDIA"], ["Vulkan", "CPU"], {}, "does not find it", "nvidia-smi"),
        (["NVIDIA"], ["Vulkan", "CPU"], {"CUDA_VISIBLE_DEVICES": ""}, "does not find it", "nvidia-smi"),
        (
            ["AMD"],
            ["Vulkan", "CPU"],
            {"GGML_VK_VISIBLE_DEVICES": "7"},
            "GGML_VK_VISIBLE_DEVICES=7 hides",
            "unset GGML_VK",
        ),
        (["AMD"], ["ROCm", "CPU"], {"HIP_VISIBLE_DEVICES": "9"}, "HIP_VISIBLE_DEVICES=9 hides it", "unset HIP_VIS"),
        (["Apple"], ["BLAS", "CPU"], {}, "has no Metal", "-DGGML_METAL=on"),
    ],
)
def test_why_a_gpu_is_unused(
    makers: list[str], computes_on: list[str], environment: dict[str, str], why: str, command: str
) -> None:
    found = why_unused(makers, computes_on, environment)
    assert found and why in found[0] and command in found[1]
    assert why_unused(["Intel"], computes_on, environment) is None
    assert set(backends()) >= {"CPU"}


def test_the_model_that_answers_is_reported_or_that_it_is_not_here(
    hermes: Hermes, demo_path: Path, tmp_path: Path
) -> None:
    assert "demo, bundled with the program; download a larger one: hermes pull" in hermes("doctor").out.decode()
    own = tmp_path / "own.gguf"
    own.symlink_to(demo_path)
    assert f"own, {own}" in hermes("doctor", env={"HERMES_CLI_MODEL": str(own)}).out.decode()
    result = hermes("doctor", env={"HERMES_CLI_MODEL": "gemini"})
    assert result.code == 1
    assert "wrong: there is no local model gemini (in HERMES_CLI_MODEL); " in result.out.decode()


def test_added_or_removed_gpu_is_noticed(hermes: Hermes, tmp_path: Path) -> None:
    cache = {"HERMES_CLI_CACHE_DIR": str(tmp_path)}
    real = json.loads(hermes("doctor", "--json", env=cache).out)["engine"]
    (name, verdict) = next(iter(json.loads((tmp_path / "library-probe.json").read_text()).items()))
    other = {**verdict, "gpu": None if real["offload"] else True}
    (tmp_path / "library-probe.json").write_text(json.dumps({name: other}))
    assert json.loads(hermes("doctor", "--json", env=cache).out)["engine"]["gpu_works"] == real["gpu_works"]


def test_json_holds_all_of_it(hermes: Hermes) -> None:
    facts = json.loads(hermes("doctor", "--json", env={"HERMES_CLI_THREADS": "1"}).out)
    assert facts["healthy"] and facts["program"]["version"] == __version__
    assert facts["machine"]["memory_bytes"] >= facts["machine"]["available_bytes"] > 0
    assert facts["settings"] == [{"name": "threads", "value": "1", "origin": "HERMES_CLI_THREADS"}]
    assert facts["engine"]["problem"] is None
    assert bool(facts["engine"]["devices"]) == facts["engine"]["offload"]
    assert facts["folders"]["cache"]["files"] > 0
    for kind, switch in (
        ("CUDA", "-DGGML_CUDA=on"),
        ("ROCm", "-DGGML_HIP=on"),
        ("Vulkan", "-DGGML_VULKAN=on"),
        ("Metal", "-DGGML_METAL=on"),
    ):
        assert facts["builds"][kind] == f"CMAKE_ARGS={switch} {REBUILD}"


def test_a_folder_that_may_not_be_searched_is_passed_over(unprivileged: Path) -> None:
    closed = unprivileged / "models" / "closed"
    closed.mkdir(parents=True)
    (closed / "a.gguf").write_bytes(b"GGUF")
    (closed.parent / "b.gguf").write_bytes(b"GGUF")
    closed.chmod(0o600)
    try:
        assert contents(closed.parent) == {"files": 1, "bytes": 4}
        assert contents(closed / "below") == {"files": None, "bytes": None}
    finally:
        closed.chmod(0o700)


def test_the_other_builds_are_reported_on_request(hermes: Hermes) -> None:
    assert b"GGML_CUDA" not in hermes("doctor").out
    assert b"GGML_CUDA" in hermes("doctor", "--builds").out
