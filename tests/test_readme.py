"""README.md is true: its commands run, its help texts are the program's.

For whoever writes the README:
- A block fenced as ```sh is run by bash with `hermes` and `hermes-cli` on PATH; every command in it must succeed, in a
  pipe too. All blocks run in their order in one folder that at first holds a copy of README.md; so a block may use
  files that an earlier one made. There is no terminal, so `hermes chat` ends at once.
- ```sh no-test marks a block that cannot run here: set-up, downloads, a real model. Only a few may be marked.
- A help text stands in a fence of its own right below a line `<!-- hermes ask --help -->` that names its command.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Hermes, child_environment
from tests.installed_script import install_script

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
HELP = re.compile(
    r"^<!-- hermes (?P<command>[a-z ]*)--help -->\n```[a-z]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
MOST_UNTESTED = 6


def blocks(kind: str) -> list[str]:
    """The insides of the fences of this kind."""
    return [match["body"] for match in FENCE.finditer(TEXT) if match["kind"].strip() == kind]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader of the README stands."""
    made = tmp_path_factory.mktemp("reader")
    shutil.copy(README, made)
    return made


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two commands."""
    made = tmp_path_factory.mktemp("bin")
    for name in ("hermes", "hermes-cli"):
        install_script(made, name)
    return made


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda block: block.splitlines()[0][:60])
def test_the_commands_work(block: str, folder: Path, commands: Path) -> None:
    child = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=child_environment({"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child
    assert not re.search(r"^(error:|Traceback)", child.stderr, re.MULTILINE), child.stderr


@pytest.mark.parametrize("shown", list(HELP.finditer(TEXT)), ids=lambda shown: shown["command"].strip() or "hermes")
def test_the_help_texts_are_the_programs(hermes: Hermes, shown: re.Match[str]) -> None:
    result = hermes(*shown["command"].split(), "--help", env={"COLUMNS": "80"})
    assert result.out.decode() == shown["text"]


def test_the_readme_shows_commands_and_help_and_leaves_few_blocks_untested() -> None:
    assert any("hermes ask" in block for block in blocks("sh"))
    assert HELP.search(TEXT)
    assert len(blocks("sh no-test")) <= MOST_UNTESTED
    kinds = {(match["kind"].split() or ["text"])[0] for match in FENCE.finditer(TEXT) if "hermes ask" in match["body"]}
    assert kinds <= {"sh", "text"}, "commands in a fence of another kind would never be run"


def test_ci_runs_the_readmes_test_command_and_leaves_the_developers_environment_alone() -> None:
    ci = README.with_name(".ci").joinpath("run").read_text(encoding="utf-8")
    (command,) = (block for block in blocks("sh no-test") if "pytest" in block)
    assert all(f"\n{part.strip()}\n" in ci for part in command.split("&&"))
    assert ".ci-venv" in ci and " .venv" not in ci
