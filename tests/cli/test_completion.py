"""Shell completion as bash requests it: the words typed so far and the index of the one to complete."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Hermes, child_environment
from tests.installed_script import install_script


def completed(hermes: Hermes, line: str) -> list[str]:
    """The completions of the last word of `line` in bash."""
    words = line.split(" ")
    variables = {"_HERMES_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    result = hermes(env=variables)
    assert result.code == 0
    return result.out.decode().split()


@pytest.mark.parametrize(
    ("line", "expected"),
    {
        "hermes ask -m de": ["demo"],
        "hermes chat --model de": ["demo"],
        "hermes ask -p trans": ["translate"],
        "hermes presets show trans": ["translate"],
        "hermes config set kv_": ["kv_type", "kv_store_mb"],
        "hermes config get vi": ["vi_mode"],
        "hermes config set kv_type q8": ["q8_0"],
        "hermes config set vi_mode ": ["true", "false"],
        "hermes config set model de": ["demo"],
        "hermes config set preset trans": ["translate"],
        "hermes config set ctx ": [],
        "hermes config set nothing ": [],
        "hermes models show de": ["demo"],
        "hermes ask --tools calc": ["calculate"],
        "hermes tools show calc": ["calculate"],
        "hermes ask --no-sa": ["--no-save"],
    }.items(),
)
def test_values_are_completed(hermes: Hermes, line: str, expected: list[str]) -> None:
    assert completed(hermes, line) == expected


def test_pull_completes_names_of_the_catalog(hermes: Hermes) -> None:
    assert {"8b", "3b"} <= set(completed(hermes, "hermes pull "))


def test_sessions_are_completed_by_id(hermes: Hermes) -> None:
    hermes("ask", "-m", "demo", "-t", "0", "What is 2 plus 3?")
    id = hermes("sessions").out.decode().split("\t")[0]
    for words in ("ask --session", "sessions show", "sessions rm"):
        assert completed(hermes, f"hermes {words} {id[:-1]}") == [id]


def test_unreadable_files_give_no_completions(hermes: Hermes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERMES_CLI_CONFIG_DIR", str(tmp_path))
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "broken.md").write_text("---\nx: [\n---\n")
    assert completed(hermes, "hermes ask -p trans") == ["translate"]


@pytest.mark.parametrize("name", ["hermes", "hermes-cli"])
def test_bash_completes_both_commands(name: str, tmp_path: Path) -> None:
    install_script(tmp_path, name)
    script = f"""
        eval "$({name} --show-completion bash)"
        COMP_WORDS=({name} presets show trans) COMP_CWORD=3
        "$(complete -p {name} | sed 's/.*-F \\([^ ]*\\).*/\\1/')" {name}
        echo "${{COMPREPLY[@]}}"
    """
    environment = child_environment({"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    environment["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    command = ["bash", "-c", script]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (shown.stdout, shown.stderr) == ("translate\n", "")
