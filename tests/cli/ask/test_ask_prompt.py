"""The input of `hermes ask`: words, files and stdin, unchanged."""

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import OnTerminal, Start, assert_failed, exit_code
from tests.conftest import Hermes, Result

DRY = ("ask", "-m", "demo", "--dry-run", "--json")
DRY_LINE = f"hermes {' '.join(DRY)}"


def user_text(result: Result) -> str:
    """The text of the user's message as the model reads it."""
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
        ([], "\ufeffwith a mark\n\n", "with a mark\n"),
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


def test_a_socket_is_read_as_a_pipe_is(start: Start) -> None:
    """Node and libuv give their children sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"The code of Mira is 7.\n")
        ours.shutdown(socket.SHUT_WR)
        out, _ = start(*DRY, "What is the code of Mira?", stdin=theirs).communicate(timeout=60)
    assert "What is the code of Mira?\n\nThe code of Mira is 7." in json.loads(out)["prompt"]


def test_an_idle_pipe_gets_a_notice_and_the_timeout_counts(start: Start) -> None:
    child = start("ask", "-m", "demo", "--timeout", "3", "Hello", stdin=-1)
    assert child.wait(60) == 124
    assert child.stderr and child.stderr.read().decode().splitlines() == [
        "waiting for text on stdin; if there is none, add < /dev/null",
        "stopped after 3 s: --timeout",
    ]


def test_the_timeout_ends_the_wait_for_an_attached_pipe(hermes: Hermes, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = hermes("ask", "-m", "demo", "--timeout", "0.5", "-f", str(tmp_path / "pipe"), "Hello")
    assert (result.code, result.err) == (124, "stopped after 0.5 s: --timeout\n")


def test_in_a_loop_over_a_file_the_first_call_names_what_it_read(
    shell: Callable[[str], Result], tmp_path: Path
) -> None:
    (tmp_path / "lines.txt").write_text("one\ntwo\nthree\n")
    loop = f'while read -r line; do {DRY_LINE} "$line" %s; done < {tmp_path / "lines.txt"}'
    result = shell(loop % "")
    assert user_text(result) == "one\n\ntwo\nthree"
    assert result.err == "also read the other 2 lines of stdin; to leave them for the loop, add < /dev/null\n"
    result = shell(loop % "< /dev/null")
    assert (len(result.out.splitlines()), result.err) == (3, "")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="who else has the pipe cannot be found out")
def test_in_a_loop_over_a_pipe_the_first_call_names_what_it_read(shell: Callable[[str], Result]) -> None:
    loop = f'printf "one\\ntwo\\nthree\\n" | while read -r line; do {DRY_LINE} "$line" %s; done'
    result = shell(loop % "")
    assert user_text(result) == "one\n\ntwo\nthree"
    assert result.err == "also read 2 lines of stdin; to leave them for the loop, add < /dev/null\n"
    result = shell(loop % "< /dev/null")
    assert (len(result.out.splitlines()), result.err) == (3, "")


def test_a_word_that_names_a_file_gets_a_notice(hermes: Hermes, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(name)
    result = hermes(*DRY, "-f", "a.txt", "b.txt", "c.txt", "Compare", cwd=tmp_path)
    assert user_text(result).startswith("b.txt c.txt Compare\n\n<file")
    notice = (
        "b.txt, c.txt are words of the prompt, not attachments; to attach a file: -f b.txt; put patterns in quotes\n"
    )
    assert result.err == notice


def test_a_file_called_dash_is_stdin(hermes: Hermes) -> None:
    assert user_text(hermes(*DRY, "Sum", "-f", "-", stdin="one\n")) == 'Sum\n\n<file name="stdin">\none\n</file>'
    assert_failed(hermes("ask", "Sum", "-", "-f", "-", stdin="one"), 2, "stdin can be read only once")


def test_patterns_and_folders_are_files(hermes: Hermes, tmp_path: Path) -> None:
    for name, data in {
        "b.py": b"two",
        "a.py": b"one",
        "in/c.py": b"three",
        ".git/x": b"no",
        "p.png": b"\x89P\0",
    }.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_bytes(data)
    one, two = '<file name="src/a.py">\none\n</file>', '<file name="src/b.py">\ntwo\n</file>'
    assert user_text(hermes(*DRY, "-f", "src/*.py", cwd=tmp_path)) == f"{one}\n\n{two}"
    result = hermes(*DRY, "-f", "src", cwd=tmp_path)
    assert re.findall('name="(.*?)"', user_text(result)) == ["src/a.py", "src/b.py", "src/in/c.py"]
    assert result.err == "skipped in src: p.png (binary data)\n"
    assert_failed(hermes("ask", "-f", "src/*.md", cwd=tmp_path), 2, "src/*.md: no text files found")
    assert_failed(hermes("ask", "-f", "src/p.png", cwd=tmp_path), 2, "src/p.png is not a text file")


def test_an_empty_file_name_is_not_the_current_folder(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    assert_failed(hermes("ask", "-f", "", "hi", cwd=tmp_path), 2, "--file is empty")


def test_an_unreadable_folder_in_a_folder_is_named(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.txt").write_text("one")
    above = os.open(tmp_path / "src", os.O_RDONLY)
    for _ in range(20):  # a path longer than 4096 bytes
        os.mkdir("d" * 250, dir_fd=above)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)
    result = hermes(*DRY, "-f", str(tmp_path / "src"), "Compare")
    assert user_text(result) == 'Compare\n\n<file name="src/a.txt">\none\n</file>'
    assert result.err.startswith("skipped in ") and result.err.endswith("d (not readable)\n")


def test_unreadable_files_in_a_folder_are_skipped(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.txt").write_text("one")
    (tmp_path / "src" / "gone.txt").symlink_to("nothing")
    (tmp_path / "src" / "closed.txt").write_text("two")
    (tmp_path / "src" / "closed.txt").chmod(0)
    result = hermes(*DRY, "-f", "src", cwd=tmp_path)
    names = re.findall('name="(.*?)"', user_text(result))
    assert names[0] == "src/a.txt" and "src/gone.txt" not in names
    assert result.err.startswith("skipped in src: ") and result.err.endswith("gone.txt (not readable)\n")


def test_a_byte_order_mark_is_dropped_from_every_text(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "marked.txt").write_text("\ufefftext")
    assert user_text(hermes(*DRY, "-f", "marked.txt", cwd=tmp_path)) == '<file name="marked.txt">\ntext\n</file>'
    prompt = json.loads(hermes(*DRY, "-s", "@marked.txt", "Hi", cwd=tmp_path).out)["prompt"]
    assert prompt.startswith("<|im_start|>system\ntext<|im_end|>")
    (tmp_path / "marked.jinja").write_text("\ufeff{{ messages[0].content }}")
    assert json.loads(hermes(*DRY, "--template", tmp_path / "marked.jinja", "Hi").out)["prompt"] == "Hi"
    assert "/exit" in hermes("chat", "-m", "demo", "--no-save", stdin="\ufeff/help\n").err


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_with_its_byte_order_mark_is_read_everywhere(hermes: Hermes, tmp_path: Path, encoding: str) -> None:
    """PowerShell and Notepad write it."""
    data = ("Größe\r\nzwei\r\n" if encoding in ("utf-16", "utf-32") else "\ufeffGröße\r\nzwei\r\n").encode(encoding)
    (tmp_path / "wide.txt").write_bytes(data)
    result = hermes(*DRY, stdin=data)
    assert (user_text(result), result.err) == ("Größe\r\nzwei", "")
    assert "\nGröße\r\nzwei\n" in user_text(hermes(*DRY, "-f", "wide.txt", cwd=tmp_path))
    assert "\nGröße\r\nzwei\n" in user_text(hermes(*DRY, "-f", ".", cwd=tmp_path))
    assert "system\\nGr\\u00f6\\u00dfe" in hermes(*DRY, "-s", "@wide.txt", "Hi", cwd=tmp_path).out.decode()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "picture"),
        (b"PK\x03\x04\x14\0", "archive"),
        (b"\x1f\x8b\x08\0", "archive"),
    ],
)
def test_pictures_and_archives_are_refused_by_name(hermes: Hermes, tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "given").write_bytes(data)
    assert_failed(hermes(*DRY, "What is this?", stdin=data), 2, f"stdin is not a text file: {kind}")
    assert_failed(hermes(*DRY, "-f", "given", "Hi", cwd=tmp_path), 2, f"given is not a text file: {kind}")
    assert_failed(hermes(*DRY, "-s", "@given", "Hi", cwd=tmp_path), 2, f"given is not a text file: {kind}")


def test_a_context_length_after_c_gets_a_notice(hermes: Hermes) -> None:
    hermes("ask", "-m", "demo", "-n", "1", "Hi")
    result = hermes(*DRY, "-c", "4096", "Hello")
    assert result.err == "-c continues the last session; the context length is --ctx 4096\n"
    result = hermes("chat", "-c", "4096")
    assert_failed(result, 2, "unexpected 4096 after -c")
    assert "the context length is --ctx 4096" in result.err


def test_o_with_a_setting_as_in_llm_gets_a_notice(hermes: Hermes, tmp_path: Path) -> None:
    result = hermes("ask", "-m", "demo", "-o", "temperature", "0.5", "Hi", cwd=tmp_path)
    assert result.err == "-o writes the answer to the file temperature; to set temperature: --temperature 0.5\n"
    assert (tmp_path / "temperature").exists()


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--temp", "did you mean --temperature?"),
        ("--ctx-size", "did you mean --ctx?"),
        ("--sytem", "did you mean --system?"),
        ("--output-format", "see the options: hermes ask --help"),
    ],
)
def test_an_unknown_option_gets_a_close_suggestion_or_none(hermes: Hermes, option: str, hint: str) -> None:
    result = hermes("ask", option, "0", "Hi")
    assert_failed(result, 2, f"no such option: {option}")
    assert result.err.endswith(f"hint: {hint}\n")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("ask", "-ngl", "33", "Hi"), "no such option: -ngl", "did you mean --gpu-layers?"),
        (("ask", "-hf", "a/b", "Hi"), "no such option: -hf", "hermes pull hf:"),
        (("-m", "demo", "-cnv"), "no such option: -cnv", "hermes chat"),
        (("run",), "no such command: run", "did you mean hermes chat -m NAME?"),
        (("run", "hermes3"), "no such command: run", "did you mean hermes chat -m hermes3?"),
        (("run", "hermes3", "Why?"), "no such command: run", "did you mean hermes ask -m hermes3 'Why?'?"),
        (("ask", "-t", "translate", "Hi"), "'translate' is not a valid", "to use a preset: -p NAME"),
        (("models", "pull", "8b"), "no such command: pull", "did you mean hermes pull?"),
        (("models", "default", "8b"), "no such command: default", "did you mean hermes config set model?"),
        (("templates",), "no such command: templates", "did you mean hermes presets?"),
        (("list",), "no such command: list", "did you mean hermes models?"),
        (("logs",), "no such command: logs", "did you mean hermes sessions?"),
        (("pul", "3b"), "no such command: pul", "did you mean pull?"),
        (("cp", "a", "b"), "no such command: cp", "did you mean hermes models alias?"),
        (("mpc",), "no such command: mpc", "list all commands: hermes --help"),
        (("sessions", "exprt"), "no such command: exprt", "did you mean export?"),
        (("sessions", "ls"), "no such command: ls", "did you mean list?"),
        (("sessions", "run"), "no such command: run", "hermes sessions --help"),
    ],
)
def test_commands_and_options_of_other_programs_get_the_equivalent_as_a_hint(
    hermes: Hermes, words: tuple[str, ...], message: str, hint: str
) -> None:
    result = hermes(*words)
    assert_failed(result, 2, message)
    assert hint in result.err
    assert user_text(hermes(*DRY, "--", "-hf")) == "-hf"


def test_bytes_that_are_not_utf8_are_replaced_with_a_notice(hermes: Hermes, tmp_path: Path) -> None:
    result = hermes(*DRY, stdin=b"caf\xe9")
    assert user_text(result) == "caf\ufffd"
    assert result.err == "stdin is not UTF-8; invalid bytes were replaced by U+FFFD\n"
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


@pytest.mark.parametrize(
    ("option", "name", "why"),
    [
        (("-f", "{}"), "missing.txt", "No such file"),
        (("-f", "{}"), ".", "no text files found"),
        (("-s", "@{}"), "missing.txt", "No such file"),
        (("-s", "@{}"), ".", "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_usage_error(
    hermes: Hermes, option: tuple[str, str], name: str, why: str, tmp_path: Path
) -> None:
    assert_failed(hermes("ask", option[0], option[1].format(name), "Hi", cwd=tmp_path), 2, name, why)


def test_prompt_longer_than_the_context_is_refused_before_any_output(hermes: Hermes) -> None:
    result = hermes("ask", "-m", "demo", "--ctx", "512", stdin="word " * 3000)
    assert_failed(result, 4, "tokens, the context 512")
    assert "--ctx" in result.err


def test_a_last_dash_reads_a_stdin_that_is_not_read_unasked(on_terminal: OnTerminal) -> None:
    child = on_terminal("ask", "-m", "demo", "-t", "0", "What is", "-")
    child.sendline("2 plus 3?")
    child.sendeof()
    child.expect_exact("2 plus 3 is 5.")
    assert exit_code(child) == 0
