"""Every key of the line editor, typed into a real pseudo-terminal."""

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from hermes_cli.terminal.prompt.folded_text import harmless
from tests.terminal.prompt.prompts import Typist, desk

ENTER, ALT_ENTER, UP, DOWN, LEFT, RIGHT = "\r", "\x1b\r", "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C"
CTRL_A, CTRL_C, CTRL_D, CTRL_G, CTRL_R, CTRL_X_E, TAB, BACKSPACE = (
    "\x01",
    "\x03",
    "\x04",
    "\x07",
    "\x12",
    "\x18\x05",
    "\t",
    "\x7f",
)
LONG = "one\ntwo\nthree\nfour\nfive\nsix\n"


def pasted(text: str) -> str:
    """`text` as a terminal sends a paste."""
    return f"\x1b[200~{text}\x1b[201~"


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (["hello\r"], "hello"),
        (["a\x1b\rb\r"], "a\nb"),
        (["a\nb\r"], "a\nb"),
        (["a\x1b[13;2ub\x1b[27;2;13~c\r"], "a\nb\nc"),
        (["a\\\r", "b\r"], "a\nb"),
        (["a\\b\r"], "a\\b"),
        (['"""\r', "a\r", '\r', 'b"""\r'], "a\n\nb"),
        (['"""one line"""\r'], "one line"),
        (['/system """\r', "be brief\r", '"""\r'], "/system be brief"),
        (['say """x""" twice: """x"""\r'], 'say """x""" twice: """x"""'),
        (["first\rsecond\rthird\r"], "first\nsecond\nthird"),
        (["no key press " * 9 + "\rsecond\r"], "no key press " * 9 + "\nsecond"),
        (["\r", "  \r", "x\r"], "  x"),
        (["half" + CTRL_C, "whole\r"], "whole"),
        ([CTRL_C, CTRL_C, "still here\r"], "still here"),
        (["abc" + CTRL_A + CTRL_D, "\r"], "bc"),
        (["abc" + CTRL_D, "\r"], "abc"),
        (["漢字 e\u0301 👩‍👩‍👧\r"], "漢字 e\u0301 👩‍👩‍👧"),
    ],
)  # fmt: skip
def test_enter_and_the_ways_to_a_new_line(batches: list[str], message: str) -> None:
    with desk() as chat:
        assert chat.read(*batches) == message


def test_ctrl_d_leaves_an_empty_line_only() -> None:
    with desk() as chat:
        assert chat.read("x" + BACKSPACE, CTRL_D) is None


def test_a_terminal_that_is_gone_is_the_end() -> None:
    typist = Typist()
    typist.hang_up()
    typist.reader.read_keys()
    assert typist.reader.closed
    typist.unplug()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (pasted("a\r\nb\rc\td"), "a\nb\nc\td"),
        (pasted(LONG), LONG),
        (pasted(LONG) + "!" + LEFT + LEFT + "?", f"?{LONG}!"),
        ("x" + pasted(LONG) + BACKSPACE + "y", "xy"),
        ("[pasted 6 lines, 28 B]" + pasted(LONG), f"[pasted 6 lines, 28 B]{LONG}"),
        (pasted("\U00100000") + "\U00100000\U00100001", "\U00100000\U00100000\U00100001"),
        (pasted("x" * 1_000_000), "x" * 1_000_000),
        ("y" * 3_000, "y" * 3_000),
        (pasted('"""quoted\n' + LONG), '"""quoted\n' + LONG),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_a_paste_is_one_message(keys: str, message: str) -> None:
    with desk() as chat:
        writer = threading.Thread(target=os.write, args=(chat.typist.master, f"{keys}\r".encode()))
        writer.start()
        assert chat.read() == message
        writer.join()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (pasted("red \x1b[31m bell \x07 nul \x00"), "red ␛[31m bell ␇ nul ␀"),
        (pasted("left \u202e right \u2066 tag \U000e0041 csi \x9b5n"), "left  right  tag  csi �5n"),
        ("a\x1b]0;a new title\x07b\x1b[38;5;1mc\x1b[5;7Rd\x1bP1;2q\x1b\\e", "abcde"),
        ("\u202ea\x9bb\u2066c", "a�bc"),
        (b"caf\xe9 \xff\xfe utf\xc3", "caf� �� utf�"),
        ("\x00\x0b\x1c\x1d\x1e\x1fx", "x"),
    ],
)
def test_control_characters_typed_or_pasted_do_not_act(keys: str | bytes, message: str) -> None:
    with desk() as chat:
        assert chat.read(keys, "\r") == message


def test_paste_without_an_end_mark_does_not_block_the_keyboard() -> None:
    with desk() as chat:
        os.write(chat.typist.master, b"\x1b[200~never")
        chat.typist.reader.read_keys()
        assert chat.read(CTRL_C, "free\r") == "free"


def keys_of(data: bytes, cuts: list[int]) -> list[KeyPress]:
    """What the reader makes of `data` that comes in pieces of these lengths."""
    typist = Typist()
    keys: list[KeyPress] = []
    for cut in (*cuts, len(data)):
        if data:
            os.write(typist.master, data[:cut])
            keys += typist.reader.read_keys()
        data = data[cut:]
    typist.hang_up()
    typist.unplug()
    return keys


CUTS = st.lists(st.integers(1, 80), max_size=8)


@given(st.text().map(lambda text: text.replace("\x1b", "")), CUTS)
def test_a_paste_is_the_same_however_it_is_cut(text: str, cuts: list[int]) -> None:
    keys = keys_of(pasted(text).encode("utf-8", "replace"), cuts)
    assert [key.key for key in keys] == [Keys.BracketedPaste]
    assert harmless(keys[0].data) == harmless(text.encode("utf-8", "replace").decode())


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]) | st.just("\r"), max_size=300), CUTS)
def test_plain_keys_are_the_same_however_they_are_cut(text: str, cuts: list[int]) -> None:
    keys = keys_of(text.encode(), cuts)
    assert {key.key for key in keys if isinstance(key.key, Keys)} <= {Keys.ControlM, Keys.BracketedPaste}
    assert harmless("".join(key.data for key in keys)) == harmless(text)


def test_history_goes_back_from_the_first_line_and_keeps_the_draft(tmp_path: Path) -> None:
    with desk(tmp_path / "history") as chat:
        assert chat.read("one\r") == "one"
        assert chat.read("two\nlines\r") == "two\nlines"
        assert chat.read("draft", UP, UP, UP, "\r") == "one"
        assert chat.read("draft", UP, UP, DOWN, DOWN, DOWN, "!\r") == "draft!"
        assert chat.read("a\nb", UP, "x\r") == "ax\nb"
        assert chat.read(UP, "?", CTRL_C, UP, "\r") == "ax\nb"
    with desk(tmp_path / "history") as chat:
        assert chat.read(UP, UP, UP, "\r") == "draft!"


def test_search_and_ghost_text(tmp_path: Path) -> None:
    with desk(tmp_path / "history") as chat:
        for message in ("alpha one", "beta two", "/preset alpha"):
            chat.read(f"{message}\r")
        assert chat.read(CTRL_R + "ha o", "\r", "\r") == "alpha one"
        assert chat.read("bet", RIGHT, "\r") == "beta two"
        assert chat.read("bet", CTRL_A, RIGHT, "\r") == "bet"


def test_recalled_message_includes_its_paste() -> None:
    with desk() as chat:
        chat.read(f"see {pasted(LONG)}", "\r")
        assert chat.read(UP, "\r") == f"see {LONG}"
        assert chat.read("see ", RIGHT, "\r") == "see "


def test_a_draft_is_there_to_be_edited() -> None:
    with desk() as chat:
        assert chat.read("!\r", draft="as it was\r\nsaid \x1b[31m") == "as it was\nsaid ␛[31m!"
        assert chat.read("!\r", draft="long " * 10_000) == "long " * 10_000 + "!"


def test_vi_mode() -> None:
    with desk(vi_mode=True) as chat:
        assert chat.read("hello world\x1b", "0dw", "\r") == "world"
        assert chat.read("a\x1b", "\r") == "a"
        assert chat.read("a\nb\r") == "a\nb"


@pytest.mark.parametrize(("keys", "vi_mode"), [(CTRL_X_E, False), (CTRL_G, False), (CTRL_G, True), ("\x1bv", True)])
def test_an_editor_gets_the_whole_message_and_gives_it_back(
    keys: str, vi_mode: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "editor"
    program.write_text(
        f'#!/bin/sh\ncp "$1" {tmp_path}/before.md\nls -ld "$(dirname "$1")" "$1" > {tmp_path}/modes\n'
        'printf "from the\\r\\neditor\\033\\n" > "$1"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", str(program))
    with desk(vi_mode=vi_mode) as chat:
        assert chat.read(f"see {pasted(LONG)}{keys}", "\x1ba\r" if vi_mode else "\r") == "from the\neditor␛"
    assert (tmp_path / "before.md").read_text() == f"see {LONG}"
    modes = [line.split()[0][:10] for line in (tmp_path / "modes").read_text().splitlines()]
    assert modes == ["drwx------", "-rw-------"]


def test_an_editor_that_fails_leaves_the_message(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISUAL", "false")
    with desk() as chat:
        assert chat.read("as it was" + CTRL_G, "\r") == "as it was"
    assert capfd.readouterr().err == (
        "error: the editor false ended with code 1\nhint: the message is as it was; EDITOR names the editor\n"
    )


def test_a_failure_ends_the_prompt_from_any_thread() -> None:
    with desk() as chat:
        timer = threading.Timer(0.1, chat.editor.fail, [ValueError("while it waits")])
        timer.start()
        with pytest.raises(ValueError, match="while it waits"):
            chat.read(draft="half a message")
        chat.editor.fail(ValueError("before it waits"))
        with pytest.raises(ValueError, match="before it waits"):
            chat.read()
        assert chat.read("resumes\r") == "resumes"
