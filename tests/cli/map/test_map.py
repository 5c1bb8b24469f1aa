"""`hermes ask --map`: lines in, records out, by the real program on the demo model."""

import json
import signal
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hermes_cli import paths
from hermes_cli.cli.map.input import MapInput
from hermes_cli.cli.map.records import Outcome, RecordFile, record
from hermes_cli.errors import OutputError, UsageError
from tests.cli.conftest import OnScreen, Start, assert_failed
from tests.conftest import Hermes, Result

MAP = ("ask", "--map", "-m", "demo", "-t", "0")
SUMS = "What is 2 plus 3?\n\nWhat is 4 plus 4?\nWhat is 1 plus 1?\n"
ANSWERS = ["2 plus 3 is 5.", "4 plus 4 is 8.", "1 plus 1 is 2."]
PEOPLE = "Anna is 31 years old.\nBob is 5 years old.\n"
LONG = "word " * 500


def records(result: Result) -> list[dict[str, Any]]:
    """The JSON lines on stdout."""
    return [json.loads(line) for line in result.out.splitlines()]


def test_every_line_gets_a_record_with_its_number_in_order(hermes: Hermes) -> None:
    result = hermes(*MAP, "-v", stdin=SUMS)
    assert result.code == 0
    assert records(result) == [
        {"index": index, "input": SUMS.splitlines()[index - 1], "answer": answer, "finish_reason": "stop"}
        for index, answer in zip((1, 3, 4), ANSWERS, strict=True)
    ]
    assert result.err.count("loaded in") == 1 and "3 answered · " in result.err


def test_json_lines_give_a_text_or_a_prompt_with_what_belongs_to_it(hermes: Hermes) -> None:
    lines = [
        '"What is 2 plus 3?"',
        '{"id": "a7", "prompt": "What is 4 plus 4?", "answer": [8], "input_answer": null}',
        "[1, 2]",
        '{"prompt": 5}',
        '{"prompt": "Hi", "n": NaN}',
        '{"prompt": "Hi", "n": -1e999}',
        "\ufeff Caf\u00e9 \u2028 {",
    ]
    result = hermes(*MAP, "-n", "30", stdin="\r\n".join(lines))
    assert result.err == "7 answered\n"
    first, second, *others = records(result)
    assert first["input"] == "What is 2 plus 3?" and first["answer"] == ANSWERS[0]
    own = {"input": "What is 4 plus 4?", "answer": ANSWERS[1], "id": "a7"}
    assert own.items() <= second.items() and (second["input_answer"], second["input_input_answer"]) == ([8], None)
    assert [one["input"] for one in others] == lines[2:]


def test_the_words_and_files_come_before_each_line(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Call me Zed.\n")
    mapped = hermes(*MAP, "-f", tmp_path / "a.txt", "Say the sum.", "-", stdin="What is 7 plus 2?\n")
    whole = 'Say the sum.\n\n<file name="a.txt">\nCall me Zed.\n</file>\n\nWhat is 7 plus 2?'
    asked = hermes("ask", "-m", "demo", "-t", "0", "--no-save", whole).out.decode()
    assert (mapped.err, records(mapped)[0]["answer"] + "\n") == ("1 answered\n", asked)


def test_with_a_schema_the_data_is_in_the_record(hermes: Hermes) -> None:
    result = hermes(*MAP, "--schema", "name, age int", stdin=PEOPLE)
    assert (result.code, result.err) == (0, "2 answered\n")
    anna, bob = records(result)
    assert (anna["data"], json.loads(anna["answer"])) == ({"name": "Anna", "age": 31},) * 2
    assert isinstance(bob["data"]["age"], int)


def test_failed_line_is_reported_in_its_record_and_the_run_continues(hermes: Hermes) -> None:
    long = hermes(*MAP, "--ctx", "128", stdin=f"{LONG}\n{SUMS}")
    first, *others = records(long)
    assert (long.code, [one["answer"] for one in others]) == (4, ANSWERS)
    assert first["error"].startswith("the prompt has ") and (first["answer"], first["index"]) == (None, 1)
    assert long.err.startswith("3 answered · 1 failed, the first in line 1: the prompt has ")
    cut = ("--schema", "name, age int", "--no-constrain", "-n", "3")
    schema = hermes(*MAP, *cut, stdin=PEOPLE)
    assert (schema.code, schema.err.partition(", the first")[0]) == (5, "0 answered · 2 failed")
    assert all(one["answer"] and one["data"] is None and "schema" in one["error"] for one in records(schema))
    both = hermes(*MAP, *cut, "--ctx", "256", stdin=f"{PEOPLE}{LONG}\n")
    assert (both.code, len(records(both))) == (1, 3)
    assert "3 failed" in both.err


def test_a_line_without_text_or_without_end_is_not_a_reason_to_stop(hermes: Hermes) -> None:
    result = hermes(*MAP, stdin=b'""\n' + b"x" * (9 << 20) + b"\nWhat is 2 plus 3?\n\xff\xff\n")
    empty, endless, right, odd = records(result)
    assert (result.code, empty["error"], right["answer"]) == (1, "there is no text", ANSWERS[0])
    assert endless["error"] == "the line is longer than 8 MiB" and len(endless["input"]) == 1000
    assert odd["input"] == "\ufffd\ufffd" and "line 4 is not UTF-8" in result.err


def test_a_tool_that_was_not_allowed_to_run_is_reported(hermes: Hermes) -> None:
    ask = "Use calculate with expression 7.\n"
    result = hermes(*MAP, "--tools", "calculate", "--deny", stdin=ask)
    (record,) = records(result)
    assert result.code == 6 and "1 failed, the first in line 1: calculate: " in result.err
    assert [(one["name"], one["approved"]) for one in record["tool_calls"]] == [("calculate", False)]
    assert record["error"].startswith("calculate: ") and record["answer"]
    allowed = hermes(*MAP, "--tools", "calculate", stdin=ask)
    assert allowed.code == 0 and "error" not in records(allowed)[0] and allowed.err


def test_a_later_run_continues_where_the_file_ends(hermes: Hermes, tmp_path: Path) -> None:
    file, run = tmp_path / "out", (*MAP, "-o", tmp_path / "out")
    assert hermes(*run, stdin=SUMS).err == "3 answered\n"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    again = hermes(*run, stdin=SUMS)
    assert (again.code, again.out, file.read_bytes()) == (0, b"", whole)
    assert again.err == f"the last record in {file} was incomplete and is replaced\n2 kept · 1 answered\n"
    more = hermes(*run, stdin=SUMS + '""\n')
    assert (more.code, more.err) == (1, "3 kept · 0 answered · 1 failed, the first in line 5: there is no text\n")
    again = hermes(*run, stdin=SUMS + '""\n')
    assert (again.code, again.err) == (1, "4 kept (1 of them failed) · 0 answered\n")
    whole = file.read_bytes()
    other = hermes(*run, stdin=SUMS.replace("4 plus", "5 plus"))
    assert_failed(other, 2, "record 2 in", "does not belong to line 3")
    assert file.read_bytes() == whole


INPUTS = (MapInput(1, 'a "b",\nc'), MapInput(3, "=d", {"id": "é", "answer": [1]}), MapInput(4, "\r"))


def written(path: Path, inputs: Iterable[MapInput]) -> list[int]:
    """Run over the inputs, each its own answer; the lines that were answered."""
    with closing(RecordFile(path)) as output:
        rest = list(output.pending(iter(inputs)))
        for given in rest:
            output.write(record(given, Outcome(given.text, "stop", {})))
    return [given.index for given in rest]


def test_a_file_cut_anywhere_is_completed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out"
    assert written(file, INPUTS) == [1, 3, 4]
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        assert written(file, INPUTS)[-1:] == [4]
        assert file.read_bytes() == whole, size
    assert written(file, INPUTS) == []
    assert set(capsys.readouterr().err.splitlines()) == {f"the last record in {file} was incomplete and is replaced"}


def test_a_file_of_something_else_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "out"
    written(file, INPUTS)
    whole = file.read_bytes()
    others = [*INPUTS[:2], MapInput(4, "x")]
    for inputs, message in (
        (others, "record 3 in .* does not belong to line 4"),
        (INPUTS[:2], "more records than there are inputs"),
        ((), "more records than there are inputs"),
    ):
        with pytest.raises(UsageError, match=message):
            written(file, inputs)
    assert file.read_bytes() == whole
    for text in ("my notes", "my notes\n", '["index"]\n', "5\n", "\xff\n"):
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(UsageError, match=str(file)):
            written(file, INPUTS)
        assert file.read_bytes() == text.encode("latin-1")
    with pytest.raises(OutputError, match="Is a directory"):
        written(tmp_path, INPUTS)


def test_the_file_of_a_run_in_progress_is_not_shared(start: Start, hermes: Hermes, tmp_path: Path) -> None:
    child = start(*MAP, "-o", tmp_path / "out", stdin=-1)
    assert child.stdin
    child.stdin.write(SUMS.encode())
    child.stdin.flush()
    while not (tmp_path / "out").exists() or (tmp_path / "out").read_bytes().count(b"\n") < 3:
        assert child.poll() is None
    assert_failed(hermes(*MAP, "-o", tmp_path / "out", stdin=SUMS), 1, "another run is writing to")
    assert child.communicate() == (b"", b"3 answered\n")


def test_records_come_while_stdin_is_open_and_a_stop_ends_the_waiting(start: Start) -> None:
    child = start(*MAP, stdin=-1)
    assert child.stdin and child.stdout
    for line, answer in zip((line for line in SUMS.splitlines() if line), ANSWERS, strict=True):
        child.stdin.write(f"{line}\n".encode())
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["answer"] == answer
    child.stdin.write(b"What is")
    child.stdin.flush()
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert (child.stdout.read(), child.stderr and child.stderr.read()) == (b"", b"3 answered\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_an_answer_there_is_no_half_record(
    start: Start, wide_path: Path, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """The first input is answered by no text at all, so that the second is at work when there is a record."""
    child = start("ask", "--map", "-m", wide_path, "--ctx", "32768", "-o", tmp_path / "out", stdin=-1)
    assert child.stdin
    child.stdin.write(b'""\nHi\n')
    child.stdin.flush()
    while not (tmp_path / "out").exists() or not (tmp_path / "out").read_bytes():
        assert child.poll() is None
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == code and said.startswith(b"0 answered \xc2\xb7 1 failed")
    (record,) = (tmp_path / "out").read_text().splitlines()
    assert json.loads(record)["index"] == 1


def test_closed_pipe_ends_the_run_with_141(shell: Callable[[str], Result]) -> None:
    result = shell("yes 'What is 2 plus 3?' | hermes ask --map -m demo -t 0 | head -2; exit ${PIPESTATUS[1]}")
    assert (result.code, result.err) == (141, "")
    assert [one["answer"] for one in records(result)] == ANSWERS[:1] * 2


def test_a_status_line_counts_beside_a_file(on_screen: OnScreen, endless_path: Path, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("Hi\n" * 5000)
    screen = on_screen("ask", "--map", "-m", endless_path, "-n", "40", script='"$@" < lines > out')
    screen.shows("/5,000 · ")
    screen.shows(" tok/s")
    screen.type("\x03")
    assert screen.ended() == 130
    assert screen.lines[0].endswith(" answered")


def test_on_a_terminal_records_are_harmless(on_screen: OnScreen, hostile_path: Path, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("Hi\n")
    screen = on_screen("ask", "--map", "-m", hostile_path, "-t", "0", "-n", "20", script='"$@" < lines')
    assert screen.ended() == 0
    assert "\\u001b[31m" in screen.text and "1 answered" in screen.text


def test_nothing_to_do_and_nothing_kept(hermes: Hermes) -> None:
    before = sorted(paths.data_folder().rglob("*")) + sorted(paths.kv_folder().rglob("*"))
    assert (hermes(*MAP, stdin="\n \n").err, hermes(*MAP, "-", stdin="").err) == ("0 answered\n",) * 2
    assert hermes(*MAP, stdin="Hi\n").err == "1 answered\n"
    assert sorted(paths.data_folder().rglob("*")) + sorted(paths.kv_folder().rglob("*")) == before


@pytest.mark.parametrize("options", [("--json",), ("-x",), ("-c", "--dry-run")])
def test_options_that_map_cannot_be_combined_with(hermes: Hermes, options: tuple[str, ...]) -> None:
    assert_failed(hermes(*MAP, *options, stdin=SUMS), 2, "cannot be used with --map")


def test_wrong_usage(hermes: Hermes) -> None:
    assert_failed(hermes(*MAP, "Hi"), 2, "--map reads one input per line from stdin")
    assert_failed(hermes(*MAP, "-m", "nowhere", stdin=SUMS), 3, "nowhere")
    assert_failed(hermes(*MAP, "--schema", '{"type": "strin"}', stdin=SUMS), 2, "schema")
