"""A home folder that is missing, a file or read-only: hermes answers and reports what it cannot save."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from hermes_cli.files import check_hint, unwritable, write_hint
from tests.conftest import Script, child_environment
from tests.installed_script import install_script

FOLDERS = ("HERMES_CLI_CACHE_DIR", "HERMES_CLI_CONFIG_DIR", "HERMES_CLI_DATA_DIR")
Outcome = tuple[int, str, str]


def run(script: Path, home: str, *arguments: str, **variables: str) -> Outcome:
    """Exit code, stdout and stderr of the program with this home folder and no folders of its own."""
    environment = child_environment({"HOME": home, "PYTHONPATH": ""})
    for name in (*FOLDERS, "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HF_HOME"):
        environment.pop(name, None)
    child = subprocess.run(
        [script, *arguments],
        env=environment | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return child.returncode, child.stdout.decode(), child.stderr.decode()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The installed program."""
    return install_script(tmp_path / "bin")


def test_a_home_that_is_no_folder_answers_and_says_what_is_not_saved(program: Path) -> None:
    code, out, err = run(program, "/dev/null", "ask", "-m", "demo", "-t", "0", "--no-save", "What is 2 plus 3?")
    assert (code, out, err) == (0, "2 plus 3 is 5.\n", "")
    code, out, err = run(program, "/dev/null", "ask", "-m", "demo", "-t", "0", "What is 2 plus 3?")
    assert (code, out) == (0, "2 plus 3 is 5.\n")
    assert "/dev/null is not a folder: set HOME" in err
    for command in ("sessions", "presets", "models", "tools"):
        assert run(program, "/dev/null", command)[::2] == (0, "")
    code, _, err = run(program, "/dev/null", "config", "set", "ctx", "512")
    assert code == 1 and "hint: /dev/null is not a folder: set HOME" in err


def test_doctor_tries_to_write_and_says_what_cannot_be_saved(program: Path, tmp_path: Path) -> None:
    code, out, err = run(program, "/dev/null", "doctor")
    assert (code, err) == (0, "")
    assert out.count("nothing can be saved in /dev/null/") >= 3
    (tmp_path / "cache").write_text("a file where the folder should be")
    _, out, _ = run(program, str(tmp_path), "doctor", HERMES_CLI_CACHE_DIR=str(tmp_path / "cache"))
    assert out.count(f"nothing can be saved in {tmp_path / 'cache'}: Not a directory") == 1
    assert "sessions" in out and "nothing can be saved in" not in out.partition("sessions")[2].splitlines()[0]
    assert list(tmp_path.glob(".local")) == [], "looking makes no folders"


def test_folders_that_cannot_be_used_are_named(program: Path, tmp_path: Path) -> None:
    def with_long_name(folder: str, *arguments: str) -> tuple[int, str, str]:
        return run(program, str(tmp_path), *arguments, **{folder: str(tmp_path / ("d" * 300))})

    hint = f"hint: check it: ls -ld {tmp_path}\n"
    question = ("ask", "-m", "demo", "-t", "0", "--no-save", "What is 2 plus 3?")
    assert with_long_name("HERMES_CLI_CACHE_DIR", *question) == (0, "2 plus 3 is 5.\n", "")
    code, _, err = with_long_name("HERMES_CLI_DATA_DIR", "ask", "-c", "Hi")
    assert code == 1 and "error: cannot read the sessions in" in err and err.endswith(hint)
    code, out, err = with_long_name("HERMES_CLI_CONFIG_DIR", "doctor")
    assert (code, err) == (1, "") and "wrong: cannot read" in out and "does not exist" not in out
    code, _, err = with_long_name("HERMES_CLI_CONFIG_DIR", "presets")
    assert code == 1 and "error: cannot use" in err and err.endswith(hint)


def test_a_home_that_cannot_be_written_is_recognised(unprivileged: Path) -> None:
    folder = unprivileged / "data" / "sessions"
    assert unwritable(folder) is None and not folder.parent.exists()
    unprivileged.chmod(0o500)
    assert unwritable(folder) == "Permission denied"
    assert check_hint(folder) == f"check it: ls -ld {unprivileged}"
    unprivileged.chmod(0o700)


NOBODYS = """
import os
import platformdirs.unix
from hermes_cli import paths
os.environ.pop("HOME", None)
for name in [name for name in os.environ if name.startswith(("HERMES_CLI_", "XDG_"))]:
    del os.environ[name]
os.setuid(54321)
print(paths.data_folder(), paths.cache_folder(), paths.config_folder())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the rights to become another user")
def test_an_account_without_a_home_makes_no_folder_called_tilde(script: Script) -> None:
    assert script(NOBODYS).out.split() == [b"/dev/null/hermes-cli"] * 3


def test_a_full_disk_is_shown_by_its_folder(tmp_path: Path) -> None:
    full, denied = OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EACCES, "Permission denied")
    assert write_hint(tmp_path / "missing" / "a", full) == f"free some space: df -h {tmp_path}"
    assert write_hint(tmp_path, full) == f"free some space: df -h {tmp_path}"
    assert write_hint(tmp_path, denied) == check_hint(tmp_path)


def test_a_file_in_the_place_of_a_folder_is_named_with_what_helps(program: Path, tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "config"
    data.mkdir()
    config.mkdir()
    (data / "sessions").touch()
    (config / "prompts").touch()
    home = {"HERMES_CLI_DATA_DIR": str(data), "HERMES_CLI_CONFIG_DIR": str(config)}
    of_sessions = f"Not a directory; {data}/sessions is not a folder: move it away"
    code, out, err = run(program, str(tmp_path), "ask", "-m", "demo", "-t", "0", "What is 2 plus 3?", **home)
    assert (code, out, of_sessions in err) == (0, "2 plus 3 is 5.\n", True)
    code, out, err = run(program, str(tmp_path), "sessions", **home)
    assert (code, out, of_sessions in err) == (0, "", True)
    assert of_sessions in run(program, str(tmp_path), "doctor", **home)[1]
    assert f"{config}/prompts is not a folder" in run(program, str(tmp_path), "presets", **home)[2]
    for command in (("presets", "new", "mine"), ("presets", "edit", "coder")):
        code, _, err = run(program, str(tmp_path), *command, **home, EDITOR="true")
        assert (code, f"hint: {config}/prompts is not a folder: move it away\n" in err) == (1, True)


def test_a_folder_in_the_place_of_a_file_gets_a_hint_that_moves_it(program: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    (config / "config.toml").mkdir(parents=True)
    preset = config / "prompts" / "mine.md"
    preset.mkdir(parents=True)
    home = {"HERMES_CLI_CONFIG_DIR": str(config), "EDITOR": "true"}
    settings = [("edit",), ("get", "ctx"), ("set", "ctx", "512"), ("unset", "ctx")]
    presets = [("new", "mine"), ("edit", "mine"), ("show", "mine")]
    for command, path in [
        *((("config", *one), config / "config.toml") for one in settings),
        *((("presets", *one), preset) for one in presets),
    ]:
        code, _, err = run(program, str(tmp_path), *command, **home)
        assert (code, f"{path} is a folder, not a file" in err) == (2, True)
        assert f"hint: move it away: mv {path} {path}.old\n" in err
    assert f"{preset} is a folder, not a file" in run(program, str(tmp_path), "presets", **home)[2]
