"""Every way to fail: one error line, one hint line, the exit code scripts can rely on, never a traceback."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import assert_failed
from tests.conftest import Hermes, Result, child_environment, hermes_command

BAD_VALUES = [
    *(("--temperature", value) for value in ("warm", "-0.1", "nan", "inf")),
    *(("--top-k", value) for value in ("-1", "2.5", str(2**31))),
    *((option, value) for option in ("--top-p", "--min-p") for value in ("-0.1", "1.1", "nan")),
    *(("--repeat-penalty", value) for value in ("0", "nan")),
    *(("--seed", value) for value in ("-1", str(2**32), "x")),
    *((option, "0") for option in ("--max-tokens", "--ctx", "--threads", "--timeout")),
    *(("--ctx", value) for value in ("1e3", "9" * 30)),
    *(("--gpu-layers", value) for value in ("x", "-1", "1.5", "9" * 30)),
    *(("--timeout", value) for value in ("nan", "inf", "soon")),
    ("--threads", "513"),
    ("--kv-type", "f8"),
    ("--color", "blue"),
    ("--template", "missing.jinja"),
]


@pytest.mark.parametrize(("option", "value"), BAD_VALUES, ids=lambda text: text[:12])
def test_a_value_out_of_range_is_a_usage_error_that_names_the_option(hermes: Hermes, option: str, value: str) -> None:
    named = "template" if option == "--template" else option
    assert_failed(hermes("ask", "-m", "demo", option, value, "Hi"), 2, named)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["ask", "--nope"], "see the options: hermes ask --help"),
        (["chat", "--timeout", "1"], "--timeout is an option of hermes ask"),
        (["ask", "-o"], "see the options: hermes ask --help"),
        (["ask", "--dry-run", "-o", "x", "Hi"], "omit one of them"),
        (["ask", "--dry-run", "-x", "Hi"], "omit one of them"),
        (["ask", "--json", "-x", "Hi"], "omit one of them"),
        (["ask", "--grammar", 'root ::= "a"', "Hi"], "write the grammar to a file: --grammar FILE"),
        (["ask", "-f", "ftp://host/a", "Hi"], "save the text to a file"),
        (["ask", "-f", "http://[::1", "Hi"], "check the address, or save the text to a file"),
        (["ask", "-f", "http://host:99999/", "Hi"], "check the address, or save the text to a file"),
        (["doctor", "now"], "see the options: hermes doctor --help"),
        (["nope"], "ask a question: hermes ask; start a chat: hermes chat; list all commands: hermes --help"),
        (["--nope"], "see the options: hermes ask --help"),
    ],
    ids=" ".join,
)
def test_unknown_commands_and_options_are_usage_errors(hermes: Hermes, arguments: list[str], hint: str) -> None:
    result = hermes(*arguments)
    assert_failed(result, 2)
    assert result.err.endswith(f"hint: {hint}\n")


def test_a_grammar_is_read_from_a_pipe_as_a_shell_substitutes_it() -> None:
    reader, writer = os.pipe()
    os.write(writer, b'root ::= "yes"')
    os.close(writer)
    command = hermes_command("ask", "-m", "demo", "--grammar", f"/dev/fd/{reader}", "Hi")
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, pass_fds=(reader,), env=child_environment(), check=False
    )
    os.close(reader)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"yes\n", b"")


def test_a_model_that_is_not_here_gives_3_and_the_nearest_name(hermes: Hermes) -> None:
    result = hermes("ask", "-m", "demmo", "Hi")
    assert_failed(result, 3, "there is no local model demmo")
    assert "did you mean demo?" in result.err
    assert_failed(hermes("ask", "Hi", env={"HERMES_CLI_MODEL": "/missing.gguf"}), 3, "/missing.gguf")
    assert_failed(hermes("chat", "-m", "x" * 5000), 3, "there is no local model")


def test_a_path_that_is_not_a_model_gives_3_and_says_what_it_is(
    hermes: Hermes, tmp_path: Path, demo_path: Path
) -> None:
    (tmp_path / "empty.gguf").touch()
    (tmp_path / "random.gguf").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "folder.gguf").mkdir()
    os.mkfifo(tmp_path / "fifo.gguf")
    kinds = {
        "empty": "is empty",
        "random": "is not a GGUF file",
        "folder": "is a folder",
        "fifo": "is not a regular file",
    }
    for name, what in {**kinds, "missing": "there is no file"}.items():
        assert_failed(hermes("ask", "-m", f"{name}.gguf", "Hi", cwd=tmp_path), 3, f"{name}.gguf", what)
    (tmp_path / "short.gguf").write_bytes(demo_path.read_bytes()[:500_000])
    (tmp_path / "shorter.gguf").write_bytes(demo_path.read_bytes()[:3000])
    for name in ("short.gguf", "shorter.gguf"):
        for command in (("ask", "Hi"), ("ask", "--dry-run", "Hi"), ("chat",), ("serve",), ("bench",)):
            result = hermes(*command, "-m", name, stdin="Hi\n", cwd=tmp_path)
            assert_failed(result, 3, f"{name} is cut short")
        assert_failed(hermes("models", "inspect", f"./{name}", cwd=tmp_path), 3, f"{name} is cut short")


def test_a_vocabulary_without_weights_cannot_answer(hermes: Hermes, vocabulary_path: Path) -> None:
    assert_failed(hermes("ask", "-m", vocabulary_path, "Hi"), 3, "is a vocabulary without weights: it cannot chat")


def test_the_time_limit_gives_124_and_is_reported(hermes: Hermes, endless_path: Path) -> None:
    result = hermes("ask", "-m", endless_path, "--timeout", "0.3", "Hi")
    assert (result.code, result.err) == (124, "stopped after 0.3 s: --timeout\n")


def test_a_traceback_shows_only_on_request(hermes: Hermes) -> None:
    shown = hermes("ask", "--seed", "-1", "Hi", env={"HERMES_CLI_DEBUG": "1"})
    assert shown.code == 2
    assert shown.err.startswith("Traceback (most recent call last):\n")
    assert "\nhint: " in shown.err


def test_errors_with_escape_codes_and_newlines_are_one_harmless_line(hermes: Hermes, tmp_path: Path) -> None:
    nasty = "\x1b[31mred\nhint: rm -rf\r\u202e.gguf"
    for arguments in (["-m", nasty], ["-f", nasty], ["-s", f"@{nasty}"], [f"--{nasty}"], ["--color", nasty]):
        result = hermes("ask", *arguments, "Hi", cwd=tmp_path)
        assert_failed(result, 3 if "-m" in arguments else 2, "[31mred", "hint: rm -rf")
        assert "\x1b" not in result.err and "\u202e" not in result.err
    (tmp_path / nasty).write_bytes(b"\xff")
    result = hermes("ask", "-m", "demo", "--dry-run", "--json", "-f", nasty, cwd=tmp_path)
    assert json.loads(result.out)["prompt"]
    assert result.err.startswith("␛[31mred hint: rm")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("command", ["--version", "--help", "ask --help", "doctor", "ask -m demo -t 0 Hi"])
def test_a_full_disk_and_a_closed_pipe_behind_stdout_are_noticed(shell: Callable[[str], Result], command: str) -> None:
    assert_failed(shell(f"hermes {command} > /dev/full"), 1, "cannot write", "No space left on device")
    # Wait until the reader has closed the pipe, before the first word.
    closed = shell(f"exec 3> >(:); wait $!; hermes {command} >&3; echo $? >&2")
    assert closed.err == "141\n"


def test_with_stdout_closed_there_is_nowhere_to_answer(shell: Callable[[str], Result]) -> None:
    for form in ("", "--json", "-x", "--dry-run"):
        assert_failed(shell(f"hermes ask -m demo {form} Hi >&-"), 1, "stdout is closed")


def test_a_stderr_that_is_closed_or_full_is_not_a_reason_to_fail(shell: Callable[[str], Result]) -> None:
    for stderr in ("2>&-", "2>/dev/full"):
        answered = shell(f"hermes ask -t 0 --stats 'What is 2 plus 3?' {stderr}")
        assert (answered.code, answered.out, answered.err) == (0, b"2 plus 3 is 5.\n", "")
        assert shell(f"hermes ask -m demmo Hi {stderr}").code == 3
        assert shell(f"hermes ask --nope {stderr}").code == 2


def test_options_that_contradict_each_other_are_named(hermes: Hermes) -> None:
    assert_failed(hermes("ask", "-m", "demo", "--json", "-x", "Hi"), 2, "--json and --extract cannot be used together")
    with_schema = hermes("ask", "-m", "demo", "--schema", "name", "-x", "Hi")
    assert_failed(with_schema, 2, "--extract and a schema cannot be used together")


@pytest.mark.parametrize("command", ["bench --threads 0", "bench --prompt 5", "test --repeats 1001", "sessions -n -1"])
def test_a_number_out_of_range_is_an_error_with_its_range(hermes: Hermes, command: str) -> None:
    result = hermes(*command.split())
    assert_failed(result, 2, f"{command.split()[-2]} cannot be {command.split()[-1]}")
    assert "hint: give a number from " in result.err


@pytest.mark.parametrize("command", ["--version", "--help", "presets path"])
def test_what_the_system_refuses_is_reported_and_is_not_a_bug(shell: Callable[[str], Result], command: str) -> None:
    result = shell(f"hermes {command} 1< /dev/null")
    assert_failed(result, 1, "Bad file descriptor")
    assert "bug" not in result.err


def test_too_little_memory_is_reported_as_such(shell: Callable[[str], Result], tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"a" * 60_000_000)
    assert_failed(shell(f"ulimit -v 120000; hermes ask -m demo -f {large} Hi"), 1, "out of memory")


def test_input_without_end_is_refused(shell: Callable[[str], Result]) -> None:
    assert_failed(shell("hermes ask -m demo -f /dev/zero Hi"), 2, "/dev/zero is larger than")
    assert_failed(shell("cat /dev/zero | hermes ask -m demo Hi"), 2, "stdin is larger than")
