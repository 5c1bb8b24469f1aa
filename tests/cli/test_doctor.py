"""`hermes doctor`: what is here, what is wrong, and which program a typed `hermes` starts."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from hermes_cli import __version__
from tests.conftest import Hermes, child_environment
from tests.installed_script import install_script


def test_a_healthy_machine_gives_0_and_names_versions_probe_and_folders(hermes: Hermes) -> None:
    result = hermes("doctor")
    told = result.out.decode()
    parts = [__version__, importlib.metadata.version("llama-cpp-python"), "the demo model answers right"]
    parts += [sys.executable, os.environ["HERMES_CLI_CACHE_DIR"], os.environ["HERMES_CLI_DATA_DIR"]]
    assert result.code == 0
    assert [part for part in parts if part not in told] == []


def test_it_says_which_program_wins_on_path(tmp_path: Path) -> None:
    ours = install_script(tmp_path / "ours")
    other = install_script(tmp_path / "other", program="print('another')")
    for first, second, told in ((ours, other, f"{ours}"), (other, ours, f"another program wins on PATH: {other}")):
        path = os.pathsep.join([str(first.parent), str(second.parent), os.environ["PATH"]])
        child = subprocess.run(
            [ours, "doctor"], env=child_environment({"PATH": path}), capture_output=True, text=True, timeout=60
        )
        line = next(line for line in child.stdout.splitlines() if line.startswith("`hermes` "))
        assert (child.returncode, child.stderr) == (0, "")
        assert line.split(maxsplit=1)[1].startswith(told)
        assert f"start this one as {ours}" in line or first == ours


def test_a_library_that_is_not_there_is_a_finding_and_gives_1(hermes: Hermes, tmp_path: Path) -> None:
    nowhere = {"LLAMA_CPP_LIB_PATH": str(tmp_path)}
    result = hermes("doctor", env=nowhere)
    told = result.out.decode()
    assert result.code == 1
    assert "does not run" in told and "pip install" in told
    assert __version__ in told and "Traceback" not in told
    asked = hermes("ask", "-m", "demo", "Hi", env=nowhere)
    assert (asked.code, asked.err.splitlines()[-1].split(":")[0]) == (1, "hint")
