"""What `hermes ask` reads: words, files and stdin, each as it is."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import OnTerminal, assert_failed, exit_code
from tests.conftest import Hermes, Result

DRY = ("ask", "-m", "demo", "--dry-run", "--json")
DRY_LINE = f"hermes {' '.join(DRY)}"


def user_text(result: Result) -> str:
    """What the model would read as the user's message."""
    assert result.code == 0, result
    prompt: str = json.loads(result.out)["prompt"]
    return prompt.removeprefix("<|im_start|>user\n").removesuffix("<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("words", "stdin", "text"),
    [
        (["Hello", "there"], None, "Hello there"),
        ([], "from a pipe\n", "from a pipe"),
        (["Sum it up:"], "one\n\ntwo\n", "Sum it up:\n\none\n\ntwo"),
        (["Sum it up:", "-"], "one", "Sum it up:\n\none"),
        (["-"], "one", "one"),
        (["What", "is", "5", "-", "3?"], None, "What is 5 - 3?"),
        (["Sum it up:"], "", "Sum it up:"),
        ([], b"\ta\r\nb\r\n", "\ta\r\nb"),
        ([], b"a\x00b\x1b[0m", "a\x00b\x1b[0m"),
        ([], "\ufeffwith a mark\n\n", "\ufeffwith a mark\n"),
        (["--", "--json"], None, "--json"),
    ],
    ids=[
        "words",
        "pipe",
        "both",
        "last-dash",
        "only-dash",
        "minus",
        "empty-pipe",
        "crlf",
        "control",
        "bom-and-blank-line",
        "double-dash",
    ],
)
def test_the_prompt_is_the_words_a_blank_line_and_stdin(
    hermes: Hermes, words: list[str], stdin: str | bytes | None, text: str
) -> None:
    assert user_text(hermes(*DRY, *words, stdin=stdin)) == text


def test_a_regular_file_is_read_but_not_a_device_or_a_closed_stdin(
    shell: Callable[[str], Result], tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("from a file\n")
    assert user_text(shell(f"{DRY_LINE} Words < {tmp_path / 'text'}")) == "Words\n\nfrom a file"
    assert user_text(shell(f"{DRY_LINE} Words < /dev/null")) == "Words"
    assert user_text(shell(f"{DRY_LINE} Words < /dev/zero")) == "Words"
    assert user_text(shell(f"{DRY_LINE} Words <&-")) == "Words"


def test_bytes_that_are_not_utf8_are_replaced_with_a_notice(hermes: Hermes, tmp_path: Path) -> None:
    result = hermes(*DRY, stdin=b"caf\xe9")
    assert user_text(result) == "caf\ufffd"
    assert result.err == "stdin is not UTF-8; the bytes that cannot be read became U+FFFD\n"
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    result = hermes(*DRY, "-f", "latin", cwd=tmp_path)
    assert user_text(result) == '<file name="latin">\ncaf\ufffd\n</file>'
    assert result.err.startswith("latin is not UTF-8")


def test_an_argument_that_is_not_utf8_is_no_crash(hermes: Hermes) -> None:
    assert user_text(hermes(*DRY, os.fsdecode(b"caf\xe9"))).startswith("caf")


def test_files_follow_in_their_order_each_with_its_name(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("first\n")
    (tmp_path / "two.txt").write_text("second")
    result = hermes(*DRY, "Compare", "-f", "two.txt", "--file", tmp_path / "one.txt", stdin="and this", cwd=tmp_path)
    files = '<file name="two.txt">\nsecond\n</file>\n\n<file name="one.txt">\nfirst\n</file>'
    assert user_text(result) == f"Compare\n\nand this\n\n{files}"


def test_a_file_alone_is_a_prompt(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("first\n")
    assert user_text(hermes(*DRY, "-f", tmp_path / "one.txt")) == '<file name="one.txt">\nfirst\n</file>'


def test_the_system_prompt_is_a_text_or_a_file_and_none_is_invented(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "system.md").write_text("Be a pirate.\n")
    for value, system in (("Be a pirate.", "Be a pirate."), ("@system.md", "Be a pirate."), ("", "")):
        prompt: str = json.loads(hermes(*DRY, "-s", value, "Hi", cwd=tmp_path).out)["prompt"]
        assert prompt.startswith(f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n")
    assert json.loads(hermes(*DRY, "Hi").out)["prompt"].startswith("<|im_start|>user\nHi")


@pytest.mark.parametrize("stdin", [None, "", " \n\t\n"], ids=["nothing", "empty-pipe", "blank-pipe"])
def test_an_empty_prompt_is_a_usage_error(hermes: Hermes, stdin: str | None) -> None:
    assert_failed(hermes("ask", "", "  ", stdin=stdin), 2, "the prompt is empty")


@pytest.mark.parametrize("option", [("-f", "{}"), ("-s", "@{}")], ids=["file", "system"])
@pytest.mark.parametrize(("name", "why"), [("missing.txt", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_a_usage_error(
    hermes: Hermes, option: tuple[str, str], name: str, why: str, tmp_path: Path
) -> None:
    assert_failed(hermes("ask", option[0], option[1].format(name), "Hi", cwd=tmp_path), 2, name, why)


def test_a_prompt_longer_than_the_window_is_refused_before_anything_is_written(hermes: Hermes) -> None:
    result = hermes("ask", "-m", "demo", "--ctx", "512", stdin="word " * 3000)
    assert_failed(result, 4, "tokens, the window 512")
    assert "--ctx" in result.err


def test_a_last_dash_reads_a_stdin_that_is_not_read_unasked(on_terminal: OnTerminal) -> None:
    child = on_terminal("ask", "-m", "demo", "-t", "0", "What is", "-")
    child.sendline("2 plus 3?")
    child.sendeof()
    child.expect_exact("2 plus 3 is 5.")
    assert exit_code(child) == 0
