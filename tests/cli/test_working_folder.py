"""Files in the working folder are never imported by the program."""

import json
import subprocess
from pathlib import Path

from tests.conftest import child_environment
from tests.installed_script import install_script

NAMES = ("json", "signal", "llama_cpp", "typer", "ctypes", "hermes_cli")


def test_modules_lying_in_the_working_folder_are_not_imported(tmp_path: Path) -> None:
    """The library has not been tested here yet, so the probe's child process runs as well."""
    script, folder, cache = install_script(tmp_path / "bin"), tmp_path / "folder", tmp_path / "cache"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text("import os; os.write(2, b'hijacked'); os._exit(66)")
    child = subprocess.run(
        [script, "ask", "-m", "demo", "-t", "0", "What is 2 plus 3?"],
        cwd=folder,
        env=child_environment({"HERMES_CLI_CACHE_DIR": str(cache)}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, b"2 plus 3 is 5.\n", b"")
    (verdict,) = json.loads((cache / "library-probe.json").read_text()).values()
    assert "hijacked" not in str(verdict["failures"])
