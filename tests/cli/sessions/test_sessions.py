"""`hermes sessions` as people and programs use it."""

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.chat.conversation import Turn
from hermes_cli.chat.message import Message
from hermes_cli.chat.tool_call import ToolCall, ToolResult
from hermes_cli.errors import UsageError
from hermes_cli.formats.function_calling import call_block, response_block
from hermes_cli.store.sessions.files import latest_session
from hermes_cli.store.sessions.reader import read_session
from hermes_cli.terminal.units import age_from, bytes_from, size_text
from tests.cli.conftest import HOSTILE, OnScreen, OnTerminal, assert_failed, exit_code
from tests.conftest import Hermes, Result
from tests.saved import begun, folders_in, kept, message, turn


@pytest.fixture(autouse=True)
def sessions(tmp_path: Path) -> Iterator[Path]:
    """The folder of the sessions, of this test only and not made yet."""
    with folders_in(tmp_path):
        yield paths.sessions_folder()


Run = Callable[..., Result]


@pytest.fixture
def run(hermes: Hermes) -> Run:
    """`hermes sessions` with these arguments."""
    return lambda *args, **options: hermes("sessions", *args, **options)


def rows(result: Result) -> list[list[str]]:
    return [line.split("\t") for line in result.out.decode().splitlines()]


def test_without_sessions_every_command_says_so(run: Run) -> None:
    assert (run().out, run("list", "--json").out) == (b"", b"[]\n")
    assert run("search", "llama").code == 1
    assert_failed(run("show"), 2, "there are no saved sessions")
    result = run("export", "--all", "-f", "openai")
    assert (result.code, result.out) == (0, b"\n")


def test_the_list_in_a_pipe_has_a_line_for_each(run: Run) -> None:
    older, newer = kept("hello", used=1_000_000_000), kept("What is\ta llama?", "Why?", used=1_700_000_000)
    expected = [
        [newer.stem, "2", str(newer.stat().st_size), "demo", "What is a llama?"],
        [older.stem, "1", str(older.stat().st_size), "demo", "hello"],
    ]
    listed = rows(run())
    assert [[id, *rest] for id, _, *rest in listed] == expected
    assert [datetime.fromisoformat(row[1]).timestamp() for row in listed] == [1_700_000_000, 1_000_000_000]
    assert rows(run("list", "-n", "1")) == listed[:1]
    assert rows(run("list", "-n", "0")) == listed
    (first, _) = json.loads(run("list", "--json").out)
    assert (first["id"], first["turns"], first["title"]) == (newer.stem, 2, "What is\ta llama?".replace("\t", " "))
    assert (first["path"], first["size_bytes"]) == (str(newer), newer.stat().st_size)


def test_session_is_shown_with_its_exact_texts(run: Run) -> None:
    path = begun(turn(1, "What is\na llama?", "An *animal*."), system_prompt="Be brief.").path
    heading, *rest = run("show", path.stem[-4:]).out.decode().split("\n\n")
    assert heading.startswith(f"What is\n{path.stem} · ") and heading.endswith(" · demo")
    assert rest == ["system: Be brief.", "> What is\n> a llama?", "An *animal*.\n"]
    assert run("show").out == run("show", path).out == run("show", "what is").out


def test_show_all_includes_regenerated_turns(run: Run) -> None:
    transcript = begun(turn(1), turn(2, answer="the old answer"))
    transcript.append_turn(turn(3, "question 2", "the new answer"), 1, model=None, finished=None)
    _, *rest = run("show", "--all").out.decode().split("\n\n")
    assert rest[2:5] == ["[undone or regenerated]", "> question 2", "the old answer"]
    assert b"the old answer" not in run("show").out


def test_damage_is_reported_and_the_rest_is_shown(run: Run) -> None:
    path = kept("hello")
    path.write_bytes(path.read_bytes() + b"broken\n" + b'{"turn":')
    result = run("show")
    assert b"> hello" in result.out
    assert [line.rpartition(path.stem)[2] for line in result.err.splitlines()] == [
        " was cut short by a crash and is left out",
        " is damaged; skipped as unreadable: line 3",
    ]


def test_search_prints_the_session_and_the_place(run: Run) -> None:
    path = kept("hello", "tell me about Llamas\nand more")
    kept("other")
    assert rows(run("search", "about", "LLAMAS")) == [[path.stem, "hello", "tell me about Llamas and more"]]
    result = run("search", "absent")
    assert (result.code, result.out) == (1, b"")
    assert_failed(run("search", " "), 2, "the search text is empty")


def test_a_new_title_does_not_make_a_session_the_latest(run: Run) -> None:
    older, newer = kept("hello", used=1000), kept("bye", used=2000)
    assert run("rename", older.stem, "On", "llamas").out == b""
    assert read_session(older).title == "On llamas"
    assert latest_session() == newer
    assert [row[5] for row in rows(run())] == ["bye", "On llamas"]
    assert_failed(run("rename", older.stem, " "), 2, "a title needs some text")


def test_sessions_are_removed_after_asking(run: Run, on_terminal: OnTerminal) -> None:
    first, second, third = kept("one"), kept("two"), kept("three")
    assert_failed(run("rm", "one", "two"), 2, "cannot ask for confirmation: stdin is not a terminal")
    child = on_terminal("sessions", "rm", "one")
    child.expect("Remove the session .* permanently")
    child.sendline("n")
    assert (exit_code(child), first.exists()) == (1, True)
    child = on_terminal("sessions", "rm", "one", "two", "one")
    child.expect("Remove these 2 sessions permanently")
    child.sendline("y")
    assert exit_code(child) == 0
    assert [path.exists() for path in (first, second, third)] == [False, False, True]
    read = paths.kv_folder() / "of-three.kv"
    read.parent.mkdir(parents=True, exist_ok=True)
    read.write_bytes(b"three")
    assert_failed(run("rm", "--yes", "three", "absent"), 2, "there is no session absent")
    assert third.exists() and read.exists()
    assert run("rm", "-y", "three").code == 0
    assert not third.exists() and not read.exists()
    assert b"three" not in paths.session_index_file().read_bytes()


def test_a_session_in_use_is_neither_removed_nor_renamed(run: Run) -> None:
    path, _ = kept("hello", used=1000), kept("newest")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert_failed(run("rm", "--yes", path.stem), 1, "is open in another program")
        assert_failed(run("rename", path.stem, "title"), 1, "is open in another program")
        result = run("prune", "--older-than", "1d", "--yes")
        assert result.err.splitlines() == ["1 skipped: open in another program", "nothing to remove"]
    assert path.exists()


def test_a_session_that_is_opened_during_the_question_stays(on_terminal: OnTerminal) -> None:
    path, other_path = kept("one"), kept("two")
    child = on_terminal("sessions", "rm", "one", "two")
    child.expect("Remove these 2 sessions permanently")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        child.sendline("y")
        child.expect(f"{path.stem} is open in another program and was not removed")
        assert exit_code(child) == 1
    assert (path.exists(), other_path.exists()) == (True, False)


def test_prune_takes_what_any_limit_names_and_shows_it_first(run: Run) -> None:
    old, large, small = kept("old", used=1000), kept("x" * 9000, used=int(time.time()) - 60), kept("small")
    limits = ("--older-than", "30d", "--larger-than", "5kB")
    result = run("prune", *limits)
    assert (result.code, [row[0] for row in rows(result)]) == (2, [large.stem, old.stem])
    assert "cannot ask for confirmation: stdin is not a terminal" in result.err
    assert all(path.exists() for path in (old, large, small))
    assert run("prune", *limits, "--yes").code == 0
    assert [path.exists() for path in (old, large, small)] == [False, False, True]
    assert run("prune", *limits, "--yes").err == "nothing to remove\n"


def test_prune_keeps_the_last_used_under_a_size(run: Run) -> None:
    sessions = [kept(f"session {number}", used=1000 * number) for number in range(1, 6)]
    size = sessions[0].stat().st_size
    assert run("prune", "--keep-under", str(2 * size + size // 2), "-y").code == 0
    assert [path.exists() for path in sessions] == [False, False, False, True, True]


def test_prune_never_removes_the_newest(run: Run) -> None:
    old, newest = kept("old", used=1000), kept("x" * 9000, used=2000)
    assert run("prune", "--keep-under", "1kB", "-y").code == 0
    assert [path.exists() for path in (old, newest)] == [False, True]
    for limit in (("--keep-under", "1kB"), ("--older-than", "1d"), ("--larger-than", "1kB")):
        assert run("prune", *limit, "-y").err == "nothing to remove\n"
    # The clock was far ahead for a while: the session of those days is not the one that `-c` resumes.
    ahead = kept("of a wrong clock", used=4_000_000_000)
    assert run("prune", "--keep-under", "1kB", "-y").code == 0
    assert [path.exists() for path in (newest, ahead)] == [True, False]


@pytest.mark.parametrize("used", [-(2**40), 0, 2**35, 2**40])
def test_no_time_of_a_file_is_harmful(run: Run, used: int) -> None:
    path = kept("hello", used=used)
    for command in (("list",), ("show",), ("export",), ("search", "hello"), ("prune", "--older-than", "9999y")):
        result = run(*command)
        assert result.code == 0 and "Error" not in result.err
    assert path.exists()


def test_group_accepts_the_options_of_list(run: Run) -> None:
    kept("one", used=1000)
    kept("two", used=2000)
    assert run("--json").out == run("list", "--json").out != b""
    assert run("-n", "1").out == run("list", "-n", "1").out
    assert_failed(run("-n", "1", "show"), 2, "must come after the command")


def test_invalid_limits_are_reported(run: Run) -> None:
    assert_failed(run("prune"), 2, "prune needs a limit")
    assert_failed(run("prune", "--older-than", "soon"), 2, "--older-than soon is not an age")
    for text in ("30", "99999d", "-1d", "d", "1 month"):
        assert "for example: -x 30d" in message(lambda text=text: age_from("-x", text), UsageError)  # type: ignore[misc]
    for text in ("-1MB", "1 parsec", "MB", "", "1e3", "9" * 30):
        assert "for example: -x 500MB" in message(lambda text=text: bytes_from("-x", text), UsageError)  # type: ignore[misc]


def test_sizes_and_ages() -> None:
    assert [bytes_from("-", text) for text in ("800", "1kB", "1.5 MB", "2gib", " 3 B ")] == [
        800,
        1000,
        1_500_000,
        2 * 2**30,
        3,
    ]
    assert [age_from("-", text).total_seconds() / 3600 for text in ("12h", "30d", "2w", "1y")] == [12, 720, 336, 8760]
    assert [size_text(count) for count in (0, 999, 1000, 3_449_999, 5 * 10**10)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "3.4 MB",
        "50.0 GB",
    ]


def test_exports_go_to_stdout_or_into_a_file(run: Run, tmp_path: Path) -> None:
    kept("hello")
    assert run("export").out.decode().startswith("# hello\n\n")
    for name, begins in (("a.html", "<!doctype html>"), ("a.JSON", "{\n"), ("a.txt", "# hello")):
        assert run("export", "hello", "-o", tmp_path / name).out == b""
        assert (tmp_path / name).read_text().startswith(begins)
    assert run("export", "hello", "-f", "sharegpt", "-o", tmp_path / "a.txt").code == 0
    assert json.loads((tmp_path / "a.txt").read_text())["conversations"][0] == {"from": "human", "value": "hello"}
    assert_failed(run("export", "-o", tmp_path / "no" / "a.md"), 1, "cannot write")
    assert_failed(run("export", "-f", "pdf"), 2, "pdf")
    assert_failed(run("export", "-o", tmp_path / "a.jsonl"), 2, ".jsonl can be sharegpt or openai")
    assert_failed(run("export", "-o", tmp_path / "a.pdf"), 2, "must end in .md, .txt, .html or .json")
    assert not (tmp_path / "a.pdf").exists()
    assert not (tmp_path / "a.jsonl").exists()


def test_all_sessions_travel_in_one_file(run: Run, tmp_path: Path) -> None:
    kept("older", used=1000)
    kept("newer", used=2000)
    broken = kept("broken")
    broken.write_text("broken\n")
    file = tmp_path / "all.jsonl"
    result = run("export", "--all", "-f", "sharegpt", "-o", file)
    assert (result.code, result.err) == (0, f"skipped: {broken} is not a session of hermes\n")
    lines = [json.loads(line)["conversations"][0]["value"] for line in file.read_text().splitlines()]
    assert lines == ["older", "newer"]
    imported = run("import", file).out.decode().split()
    assert [read_session(paths.sessions_folder() / f"{id}.jsonl").title for id in imported] == lines
    piped = run("import", "-", stdin=file.read_bytes()).out.decode().split()
    assert [read_session(paths.sessions_folder() / f"{id}.jsonl").title for id in piped] == lines
    assert_failed(run("import", "-", stdin="{"), 2, "line 1 of stdin is not JSON")
    assert_failed(run("export", "--all"), 2, "--all needs --format sharegpt or openai")
    assert_failed(run("export", "--all", "-f", "openai", "older"), 2, "--all needs")
    assert_failed(run("export", "--all", "-f", "openai", "--turn", "1"), 2, "--all needs")
    assert_failed(run("import", tmp_path / "absent"), 2, "cannot read")


def test_the_path_is_reported(run: Run, sessions: Path) -> None:
    assert run("path").out.decode() == f"{sessions}\n"


def test_nothing_of_a_session_reaches_the_terminal_as_a_code(on_terminal: OnTerminal) -> None:
    kept(f"a{HOSTILE}b", title=f"t{HOSTILE}u")
    exports = (["export", *options] for options in ([], ["-o", "-"], ["-o", "/dev/stdout"], ["-o", "/dev/tty"]))
    for arguments in (["list"], ["show"], ["search", "b"], *exports):
        child = on_terminal("sessions", *arguments)
        code = exit_code(child)
        shown = child.before or ""
        assert (code, "␛[31m" in shown) == (0, True), arguments
        assert "\x1b[31m" not in shown and "\u202e" not in shown and "\x9b" not in shown


def test_the_list_on_a_terminal_is_a_table_that_fits(on_terminal: OnTerminal) -> None:
    kept("hello", used=1000)
    for number in range(31):
        kept("日本語のテキスト" * 9, used=2000 + number)
    child = on_terminal("sessions")
    assert exit_code(child) == 0
    lines = (child.before or "").splitlines()
    assert lines[0].split() == ["id", "used", "turns", "size", "model", "title"]
    assert len(lines) == 32
    assert re.search(r"2 more; -n 0 shows all", lines[-1])
    for line in lines[1:-1]:
        assert re.fullmatch(r"\S{20}  \S{10} \S{5}      1  [\d. kB]+  demo   \S+…", line), line
        assert len(line) + sum(character > "\u3000" for character in line) <= 200


def test_lists_on_a_small_terminal_keep_the_newest_on_the_screen(on_screen: OnScreen) -> None:
    for number in range(32):
        kept(f"llama {number}", used=1000 + number)
    for arguments in (("list",), ("search", "llama")):
        screen = on_screen("sessions", *arguments, size=(24, 80))
        assert screen.ended() == 0
        assert "llama 31" in "\n".join(screen.lines[-24:])
        assert "more; -n 0 shows all" in screen.text


def test_an_empty_list_on_a_terminal_says_so(on_terminal: OnTerminal) -> None:
    child = on_terminal("sessions", "list")
    child.expect("no sessions")
    assert exit_code(child) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_failure_to_save_is_a_one_line_error(run: Run, sessions: Path, tmp_path: Path) -> None:
    sessions.mkdir(parents=True)
    os.chown(sessions, 65534, 65534)
    (tmp_path / "in.jsonl").write_text('{"messages":[{"role":"user","content":"a"}]}')
    assert_failed(run("import", tmp_path / "in.jsonl"), 1, "belongs to another user")


def test_a_later_format_is_an_error_of_one_line(run: Run) -> None:
    kept("hello").write_text('{"hermes_session":7}\n')
    assert_failed(run("show"), 1, "was written by a later hermes, in format 7")
    assert "later hermes" in rows(run())[0][5]


def test_the_list_needs_neither_the_engine_nor_a_terminal_library(hermes: Hermes) -> None:
    from tests.cli.test_startup import HEAVY, loaded_after

    kept("hello")
    loaded = loaded_after(["sessions", "list"], ["sessions", "search", "hello"], ["sessions", "show"])
    assert loaded & (HEAVY - {"platformdirs"}) == set()
    assert [name for name in loaded if name.startswith("hermes_cli.engine")] == []


def test_the_tree_shows_every_branch_and_an_export_takes_one(run: Run, on_screen: OnScreen) -> None:
    transcript = begun(turn(1), turn(2, answer="the old answer"), turn(3))
    transcript.append_turn(turn(4, "question 2", "the  new answer"), 1, model=None, finished=None)
    transcript.append_turn(turn(5, "\x1b[31mred"), 4, model=None, finished=None)
    transcript.close()
    tree = [
        "* 1 question 1 → answer 1",
        "  2 ├─ question 2 → the old answer",
        "  3 │  question 3 → answer 3",
        "* 4 └─ question 2 → the new answer",
        "* 5    ␛[31mred → answer 5",
    ]
    assert run("show", "--tree").out.decode().splitlines() == tree
    screen = on_screen("sessions", "show", "--tree", size=(20, 30))
    assert screen.ended() == 0
    assert [line for line in screen.lines if line] == [
        tree[0],
        "  2 ├─ question 2 → the old…",
        tree[2],
        "* 4 └─ question 2 → the new…",
        tree[4],
    ]
    text = run("export", "--turn", "3").out.decode()
    assert "the old answer" in text and "answer 3" in text and "new answer" not in text
    assert "the  new answer" in run("export").out.decode()
    assert_failed(run("export", "--turn", "9"), 2, "there is no turn 9")


CALL, RESULT = call_block("add", {"a": 2, "b": 3}), response_block("add", 5)
TOOL_TURN = (
    Message("user", "Add 2 and 3"),
    Message("assistant", f"Let me see.\n{CALL}", "stop"),
    Message("tool", RESULT, tool_results=(ToolResult(ToolCall("add", {"a": 2, "b": 3}), True, 5),)),
    Message("assistant", "The sum is 5, <", "stop"),
)


def test_tool_calls_are_shown_as_in_a_chat(run: Run) -> None:
    begun(Turn(1, TOOL_TURN), turn(2, "Write one", CALL))
    _, *rest = run("show").out.decode().split("\n\n")
    assert rest == ["> Add 2 and 3", "Let me see.", "add(a=2, b=3) → 5", "The sum is 5, <", "> Write one\n"]


def test_imported_tool_calls_are_shown_too(run: Run) -> None:
    plain = [{"role": message.role, "content": message.content} for message in TOOL_TURN]
    run("import", "-", stdin=json.dumps({"messages": plain}))
    assert "\n\nLet me see.\n\nadd(a=2, b=3) → 5\n\nThe sum is 5, <\n" in run("show").out.decode()
    plain[2]["content"] = "five"
    run("import", "-", stdin=json.dumps({"messages": plain}))
    assert "\n\ntool: five\n\n" in run("show").out.decode()


def test_text_that_only_mentions_a_call_is_shown_exactly(run: Run) -> None:
    begun(turn(1, "How do you call a tool?", f"Like this:\n{CALL}"))
    assert run("show").out.decode().endswith(f"Like this:\n{CALL}\n")
