"""The library is tested once in child processes, whatever its faults, and working settings are used."""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.engine.llama.fingerprint import fingerprint
from hermes_cli.engine.llama.library import REBUILD, REQUIREMENT
from hermes_cli.machine import probe, probe_child
from tests.conftest import BrokenLibrary, Hermes, Script

QUESTION = ("ask", "-m", "demo", "-t0", probe_child.QUESTION)
ANSWER = b"2 plus 3 is 5.\n"
VERDICT = "from hermes_cli.machine import probe; import sys; print(probe.verdict(float(sys.argv[1])))"


def with_library(folder: Path, cache: Path, **more: str) -> dict[str, str]:
    """An environment with another llama.cpp and a cache folder that remembers nothing yet."""
    return {"LLAMA_CPP_LIB_PATH": str(folder), "HERMES_CLI_CACHE_DIR": str(cache), **more}


def test_the_installed_library_works_on_this_machine_with_one_of_the_settings() -> None:
    verdict = probe.verdict()
    assert verdict.extra_buffers == ("extra_buffers" not in verdict.failures)


def test_the_verdict_is_kept_in_a_file_of_the_cache() -> None:
    verdict = probe.verdict()
    kept = json.loads(paths.probe_file().read_text())
    assert kept[fingerprint()]["extra_buffers"] == verdict.extra_buffers


def test_a_build_that_crashes_with_repacked_weights_answers_without(
    hermes: Hermes, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    environment = with_library(broken_library("CRASHES_WHEN_FAST"), tmp_path / "cache")
    assert (result := hermes(*QUESTION, env=environment)).code == 0 and result.out == ANSWER


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("CRASHES_WHEN_FAST", "killed by SIGSEGV"),
        ("ILLEGAL_WHEN_FAST", "killed by SIGILL"),
        ("WRONG_WHEN_FAST", "a wrong answer: '!!!"),
    ],
)
def test_doctor_shows_what_fails_and_the_command_that_fixes_it(
    hermes: Hermes, broken_library: BrokenLibrary, tmp_path: Path, fault: str, reason: str
) -> None:
    environment = with_library(broken_library(fault), tmp_path / "cache")
    result = hermes("doctor", env=environment)
    shown = result.out.decode()
    assert result.code == 0
    assert f"the build fails with them: {reason}" in shown
    assert REBUILD in shown
    assert hermes(*QUESTION, env=environment).out == ANSWER


def test_a_build_that_hangs_with_repacked_weights_is_given_up_and_answers_without(
    hermes: Hermes, script: Script, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    environment = with_library(broken_library("HANGS_WHEN_FAST"), tmp_path / "cache")
    shown = script(VERDICT, "4", env=environment)
    assert (shown.code, shown.err) == (0, "")
    assert "extra_buffers=False" in shown.out.decode() and "no answer in time" in shown.out.decode()
    assert hermes(*QUESTION, env=environment, timeout_s=15).out == ANSWER


def test_a_build_that_always_crashes_is_one_clean_error(
    hermes: Hermes, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    environment = with_library(broken_library("CRASHES_ALWAYS"), tmp_path / "cache")
    result = hermes(*QUESTION, env=environment)
    assert (result.code, result.out) == (1, b"")
    error, hint = result.err.splitlines()
    assert error == "error: the installed llama.cpp does not work on this machine: killed by SIGSEGV"
    assert hint.startswith("hint: ") and REBUILD in hint


def test_doctor_survives_a_build_that_always_crashes(
    hermes: Hermes, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    result = hermes("doctor", env=with_library(broken_library("CRASHES_ALWAYS"), tmp_path / "cache"))
    shown = result.out.decode()
    assert result.code == 1
    assert "does not run: the installed llama.cpp does not work on this machine: killed by SIGSEGV" in shown
    assert REBUILD in shown


def loads(script: Script, environment: dict[str, str]) -> int:
    """How many models the probe's children loaded when the verdict was asked for."""
    record = Path(environment["HERMES_TEST_LOADS"])
    record.write_bytes(b"")
    assert script(VERDICT, "20", env=environment).code == 0
    return len(record.read_bytes())


def test_a_verdict_is_remembered_until_the_library_changes(
    script: Script, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    folder = broken_library()
    environment = with_library(folder, tmp_path / "cache", HERMES_TEST_LOADS=str(tmp_path / "loads"))
    assert loads(script, environment) > 0
    assert loads(script, environment) == 0
    os.utime(folder / "libllama.so", (1, 1))
    assert loads(script, environment) > 0
    assert loads(script, environment) == 0
    (folder / "libggml-cuda.so").touch()
    assert loads(script, environment) > 0


def test_verdicts_of_several_libraries_are_remembered_side_by_side(
    script: Script, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    record, cache = str(tmp_path / "loads"), tmp_path / "cache"
    one = with_library(broken_library(), cache, HERMES_TEST_LOADS=record)
    other = with_library(broken_library("CRASHES_WHEN_FAST"), cache, HERMES_TEST_LOADS=record)
    assert loads(script, one) > 0
    assert loads(script, other) > 0
    assert loads(script, one) == loads(script, other) == 0


def test_forgotten_verdict_is_determined_again() -> None:
    before = probe.verdict()
    probe.forget()
    assert not paths.probe_file().exists()
    assert probe.verdict() == before
    assert paths.probe_file().exists()


def test_a_hanging_check_stops_when_asked(script: Script, broken_library: BrokenLibrary, tmp_path: Path) -> None:
    code = """
    from hermes_cli.machine import probe
    from hermes_cli.errors import LoadCancelled
    try:
        probe.verdict(60, may_continue=lambda: False)
    except LoadCancelled:
        print("stopped")
    """
    environment = with_library(broken_library("HANGS_WHEN_FAST"), tmp_path / "cache")
    assert script(code, env=environment, timeout_s=20).out == b"stopped\n"
    assert not (tmp_path / "cache" / "library-probe.json").exists()


def test_the_time_limit_of_ask_holds_for_a_hanging_check_too(
    hermes: Hermes, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    environment = with_library(broken_library("HANGS_WHEN_FAST"), tmp_path / "cache")
    result = hermes(*QUESTION, "--timeout", "1", env=environment, timeout_s=15)
    assert (result.code, result.out, result.err) == (124, b"", "stopped after 1 s: --timeout\n")


def test_timeout_of_the_probe_is_forgotten_after_a_day(
    script: Script, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    record, kept = str(tmp_path / "loads"), tmp_path / "cache" / "library-probe.json"
    environment = with_library(broken_library(), tmp_path / "cache", HERMES_TEST_LOADS=record)
    assert loads(script, environment) > 0
    verdicts = json.loads(kept.read_text())
    for expires, proved_again in ((4e9, False), (1e9, True)):
        kept.write_text(json.dumps({key: value | {"expires": expires} for key, value in verdicts.items()}))
        assert (loads(script, environment) > 0) == proved_again


@pytest.mark.parametrize(("said", "for_ever"), [("assertion failed", True), ("CUDA error: out of memory", False)])
def test_an_abort_is_reported_and_full_memory_does_not_rule_a_library_out_for_good(
    script: Script, broken_library: BrokenLibrary, tmp_path: Path, said: str, for_ever: bool
) -> None:
    environment = with_library(broken_library("ABORTS_WHEN_FAST"), tmp_path / "cache", HERMES_TEST_ABORT=said)
    assert script(VERDICT, "20", env=environment).code == 0
    (verdict,) = json.loads((tmp_path / "cache" / "library-probe.json").read_text()).values()
    assert verdict["failures"] == {"extra_buffers": f"llama.cpp stopped: a.c:1: {said}"}
    assert (verdict["expires"] is None) == for_ever


def test_dry_run_with_a_build_that_always_crashes_is_one_clean_error(
    hermes: Hermes, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    environment = with_library(broken_library("CRASHES_ALWAYS"), tmp_path / "cache")
    result = hermes("ask", "-m", "demo", "--dry-run", "hi", env=environment)
    assert result.code == 1 and len(result.err.splitlines()) == 2


FOREIGN = [b"", b"{", b"null", b"[]", b'"text"', b'{"x": 1}', b'{"x": {"extra_buffers": true}}', b"\xff\x00"]


@pytest.mark.parametrize("content", FOREIGN)
def test_a_verdict_file_that_cannot_be_read_is_replaced(content: bytes) -> None:
    before = probe.verdict()
    paths.probe_file().write_bytes(content)
    assert probe.verdict() == before
    assert list(json.loads(paths.probe_file().read_text())) == [fingerprint()]


def test_without_a_cache_folder_everything_works_only_slower(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for _ in range(2):
        result = hermes(*QUESTION, env={"HERMES_CLI_CACHE_DIR": str(tmp_path / "file" / "cache")})
        assert (result.code, result.out) == (0, ANSWER)


def test_files_in_the_working_folder_cannot_take_the_place_of_modules(hermes: Hermes, tmp_path: Path) -> None:
    for name in ("json.py", "hermes_cli.py", "llama_cpp.py", "signal.py"):
        (tmp_path / name).write_text("raise SystemExit('taken over')")
    result = hermes(*QUESTION, cwd=tmp_path, env={"HERMES_CLI_CACHE_DIR": str(tmp_path / "cache")})
    assert (result.code, result.out) == (0, ANSWER)


def test_without_pip_the_hint_is_a_command_of_uv(script: Script) -> None:
    code = """
    import sys
    sys.modules["pip"] = None
    from hermes_cli.engine.llama import library
    from hermes_cli.machine.builds import ready_made
    print(library.INSTALL, library.REBUILD, ready_made("cpu").partition(" --extra")[0], sep="\\n")
    """
    install = f"uv pip install --python {shlex.quote(sys.executable)}"
    assert script(code).out.decode().splitlines() == [
        f"{install} '{REQUIREMENT}'",
        f"{install} --force-reinstall --no-cache-dir '{REQUIREMENT}'",
        f"{install} --force-reinstall --no-cache-dir '{REQUIREMENT}' --index-strategy unsafe-best-match",
    ]
