"""The documents are right: commands in README.md run, docs/cli.md is the program's help, links have targets.

For authors of the README:
- A block fenced as ```sh is run by bash with `hermes` and `hermes-cli` on PATH; every command in it must succeed, in a
  pipe too. All blocks run in their order in one folder that at first holds a copy of README.md; so a block may use
  files that an earlier one made. There is no terminal, so `hermes chat` ends at once.
- ```sh no-test marks a block that cannot run here: installation, downloads. Only a few may be marked.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import child_environment
from tests.installed_script import install_script

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PAGES = (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"))
MOST_UNTESTED = 3
README_LINES, README_COLUMNS = 150, 120


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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The reader's own settings and sessions, which stay from one block to the next."""
    return {f"HERMES_CLI_{name}_DIR": str(tmp_path_factory.mktemp(name.lower())) for name in ("CONFIG", "DATA")}


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda block: block.splitlines()[0][:60])
def test_the_commands_work(block: str, folder: Path, commands: Path, home: dict[str, str]) -> None:
    child = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=child_environment({"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", **home}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child
    assert not re.search(r"^(error:|Traceback)", child.stderr, re.MULTILINE), child.stderr


def test_the_help_page_is_the_programs(tmp_path: Path) -> None:
    target = tmp_path / "cli.md"
    subprocess.run([sys.executable, ROOT / "docs" / "make_cli.py", target], env=child_environment(), check=True)
    shown, real = (path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "cli.md", target))
    assert shown == real, "make docs"
    assert not re.search(r"\[\S*x[<>]=", real), "a range from Typer: use options.within"


def test_the_readme_is_short_and_leaves_few_blocks_untested() -> None:
    assert any("hermes ask" in block for block in blocks("sh"))
    assert len(blocks("sh no-test")) <= MOST_UNTESTED
    kinds = {(match["kind"].split() or ["text"])[0] for match in FENCE.finditer(TEXT) if "hermes ask" in match["body"]}
    assert kinds <= {"sh"}, "commands in a fence of another kind would never be run"
    lines = TEXT.splitlines()
    assert len(lines) < README_LINES
    assert max(map(len, lines)) < README_COLUMNS


def anchor(heading: str) -> str:
    """The name that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", sorted(set(PAGES)), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))) if "://" not in link]
    for link in links:
        name, _, part = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if part and target.suffix == ".md":
            headings = HEADING.findall(FENCE.sub("", target.read_text(encoding="utf-8")))
            assert part in map(anchor, headings), link


def test_ci_runs_the_commands_of_a_developer_in_its_own_environment() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    targets = {"setup", "lint", "types", "test"}
    assert targets <= set(ci.split())
    assert ".ci-venv" in ci and " .venv" not in ci
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}:" in makefile for target in targets)
