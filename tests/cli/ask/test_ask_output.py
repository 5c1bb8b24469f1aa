"""`hermes ask --output`: the answer in a file, written completely or not at all."""

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Start, answering, assert_failed
from tests.conftest import Hermes, Result

ASK = ("ask", "-m", "demo", "-t", "0", "What is 2 plus 3?")
ANSWER = "2 plus 3 is 5.\n"


def test_the_answer_goes_to_a_new_file_and_stdout_stays_empty(hermes: Hermes, tmp_path: Path) -> None:
    result = hermes(*ASK, "-o", "answer.txt", cwd=tmp_path)
    assert (result.code, result.out) == (0, b"")
    assert (tmp_path / "answer.txt").read_text() == ANSWER
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert len(modes) == 1, "a new file gets the permissions any program would give it"


def test_an_existing_file_keeps_its_mode_and_a_link_stays_a_link(hermes: Hermes, tmp_path: Path) -> None:
    target, link = tmp_path / "folder" / "target.txt", tmp_path / "link.txt"
    target.parent.mkdir()
    target.write_text("an older and much longer answer")
    target.chmod(0o640)
    link.symlink_to("folder/target.txt")
    assert hermes(*ASK, "--output", link).code == 0
    assert (link.readlink(), target.read_text()) == (Path("folder/target.txt"), ANSWER)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("options", "code"),
    [(("--ctx", "64"), 4), (("-m", "missing.gguf"), 3), (("--template", "missing.jinja"), 2)],
    ids=["prompt-too-long", "no-model", "bad-template"],
)
def test_failed_answer_leaves_the_file_unchanged_and_no_temporary_file(
    hermes: Hermes, options: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    (tmp_path / "answer.txt").write_text("before")
    result = hermes("ask", "-m", "demo", *options, "-o", "answer.txt", "word " * 500, cwd=tmp_path)
    assert_failed(result, code)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("answer.txt", "before")]


def test_the_part_of_a_stopped_answer_is_kept(start: Start, endless_path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "beside")
    child = start("ask", "-m", endless_path, "-o", tmp_path / "beside", "Hi")
    with (tmp_path / "beside").open("rb") as reader:
        part = reader.read(1)
        child.terminate()
        part += reader.read()
    assert (child.wait(60), part[-1:]) == (143, b"\n")
    assert len(part) > 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_stopped_answer_replaces_the_file_and_leaves_no_temporary_file(
    start: Start, wide_path: Path, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    (tmp_path / "answer.txt").write_text("before")
    child = start("ask", "-m", wide_path, "--ctx", "32768", "-v", "-o", tmp_path / "answer.txt", "Hi")
    answering(child)
    child.send_signal(number)
    assert child.wait(60) == code
    (file,) = tmp_path.iterdir()
    assert file.name == "answer.txt"
    part = file.read_text()
    assert part != "before" and len(part) > 1 and part.endswith("\n")


@pytest.mark.parametrize("form", [(), ("--json",), ("-x",)], ids=["text", "json", "code"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_if_stopped_before_any_text_the_file_is_unchanged_and_nothing_is_printed(
    start: Start,
    wide_path: Path,
    long_text_path: Path,
    form: tuple[str, ...],
    number: signal.Signals,
    code: int,
    tmp_path: Path,
) -> None:
    (tmp_path / "answer.txt").write_text("before")
    options: list[str | Path] = ["-m", wide_path, "--ctx", "32768", "--threads", "1", *form]
    targets: tuple[tuple[str | Path, ...], ...] = ((), ("-o", tmp_path / "answer.txt"))
    for target in targets:
        with long_text_path.open("rb") as stdin:
            child = start("ask", *options, *target, "-v", stdin=stdin)
        answering(child)
        child.send_signal(number)
        out, said = child.communicate(timeout=60)
        assert (child.returncode, out) == (code, b"")
        assert b"first " in said and b"no code block" not in said
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("answer.txt", "before")]


def test_file_name_of_maximum_length_works(hermes: Hermes, tmp_path: Path) -> None:
    name = "x" * 255
    assert hermes(*ASK, "-o", name, cwd=tmp_path).code == 0
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, ANSWER)]


@pytest.mark.parametrize(
    ("target", "why"),
    [("/dev/full", "No space left on device"), ("missing/answer.txt", "No such file"), (".", "Is a directory")],
    ids=["full-disk", "missing-folder", "a-folder"],
)
def test_a_target_that_cannot_be_written_is_an_error(hermes: Hermes, target: str, why: str, tmp_path: Path) -> None:
    assert_failed(hermes(*ASK, "-o", target, cwd=tmp_path), 1, "cannot write", why)


def test_devices_and_pipes_are_written_directly(shell: Callable[[str], Result]) -> None:
    ask = "hermes ask -m demo -t 0 'What is 2 plus 3?'"
    assert shell(f"{ask} -o /dev/stdout | cat").out.decode() == ANSWER
    assert shell(f"{ask} -o >(cat) | cat").out.decode() == ANSWER


def test_json_and_extract_go_to_the_file_too(hermes: Hermes, tmp_path: Path) -> None:
    assert hermes(*ASK, "--json", "-o", "a.json", cwd=tmp_path).out == b""
    assert (tmp_path / "a.json").read_text().startswith('{"answer": "2 plus 3 is 5."')
    code = "Write a Python function named twice that adds two numbers."
    assert hermes("ask", "-m", "demo", "-t", "0", code, "-x", "-o", "twice.py", cwd=tmp_path).out == b""
    assert (tmp_path / "twice.py").read_text() == "def twice(a, b):\n    return a + b\n"


def test_output_to_an_open_descriptor_appends_at_its_position(shell: Callable[[str], Result], tmp_path: Path) -> None:
    kept, ask = tmp_path / "kept", "hermes ask -m demo -t 0 'What is 2 plus 3?'"
    for name in ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        assert shell(f"{{ echo first; {ask} -o {name}; echo last; }} > {kept}").code == 0
        assert kept.read_text() == "first\n2 plus 3 is 5.\nlast\n"
