"""The content of the screen after each frame and at the end, in a terminal emulator (pyte)."""

import itertools
import re
import sys
from collections.abc import Callable, Iterable
from types import FrameType

import pyte
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.render import answer
from hermes_cli.errors import OutputError
from hermes_cli.terminal.markdown.output import MarkdownOutput
from hermes_cli.terminal.markdown.writer import Styling, render_markdown
from tests.terminal.markdown.documents import cut, documents, on_many_documents, places

OUR_CODES = re.compile(r"\r(?=\x1b)|\x1b\[(?:[0-9;]*m|\?2026[hl]|\?7[hl]|\?25h|2K|1A)")
FRAME_S = 1 / 12


class Window:
    """A terminal that remembers what scrolled out, and the output that writes to it; every write is 50 ms later."""

    def __init__(self, columns: int = 40, rows: int = 10, styling: Styling = "colors", live: bool = True) -> None:
        self.columns, self.rows, self.now = columns, rows, 0.0
        self.frames: list[bytes] = []
        self.take: Callable[[bytes], None] = self.receive
        self.screen = pyte.HistoryScreen(columns, rows, history=100_000, ratio=0.5)
        # A terminal's driver returns the carriage with each new line.
        self.screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.ByteStream(self.screen)
        self.output = MarkdownOutput(
            styling,
            live=live,
            send=lambda data: self.take(data),
            size=lambda: (self.columns, self.rows),
            clock=lambda: self.now,
            reflows=False,
        )

    def receive(self, data: bytes) -> None:
        self.frames.append(data)
        self._stream.feed(data)

    def write(self, pieces: Iterable[str], pause_s: float = 0.05) -> None:
        for piece in pieces:
            self.output.write(piece)
            self.now += pause_s

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.screen.resize(rows, columns)

    @property
    def sent(self) -> str:
        return b"".join(self.frames).decode()

    def shown(self) -> list[str]:
        """All lines, those that scrolled out first, without empty ones at the end."""
        history = ["".join(line[column].data for column in range(self.columns)) for line in self.screen.history.top]
        lines = [line.rstrip() for line in (*history, *self.screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def printed(text: str, columns: int, rows: int) -> list[str]:
    """What stands there when the whole render is printed."""
    window = Window(columns, rows)
    window.receive(render_markdown(text, columns, color=True).encode())
    return window.shown()


def modes_are_restored(window: Window) -> bool:
    return pyte.modes.DECAWM in window.screen.mode and pyte.modes.DECTCEM in window.screen.mode


@on_many_documents
@example("\n1.\n<1\n", [], (12, 4))
@example("\n=\n&#x202e;", [], (40, 10))
@given(documents, places, st.sampled_from([(40, 10), (20, 6), (100, 40), (12, 4)]))
def test_the_screen_ends_as_if_the_whole_had_been_printed(text: str, where: list[int], size: tuple[int, int]) -> None:
    window = Window(*size)
    window.write(cut(text, where) if where else text)
    window.output.finish()
    assert window.shown() == printed(text, *size)
    assert OUR_CODES.sub("", window.sent).count("\x1b") == 0
    assert modes_are_restored(window)


ANSWER = """# Title

A paragraph with **bold words** and `code` that is long enough to be wrapped in a narrow window.

1. First point with some words
2. Second point

```python
def f():
    return "x"
```

| a | b |
|---|---|
| 1 | 2 |

👩‍👧 family, ❤️ heart, 🇫🇷 flag, 1️⃣ keycap, नमस्ते, 中文字符, שלום

The end."""


def test_the_unfinished_block_is_shown_and_finished_ones_are_never_sent_again() -> None:
    window = Window(60, 20)
    window.write(["First paragraph.\n\nSecond para"], FRAME_S)
    assert window.shown() == ["First paragraph.", "", "Second para"]
    window.write(["graph **bo"], FRAME_S)
    assert window.shown()[-1] == "Second paragraph **bo"
    window.write(["ld** end"], FRAME_S)
    assert window.shown()[-1] == "Second paragraph bold end"
    assert window.sent.count("First") == 1


def test_no_more_than_twelve_frames_a_second_each_in_one_write() -> None:
    window = Window(60, 20)
    window.write((f"word{number} " for number in range(200)), 0.01)
    assert 20 <= len(window.frames) <= 25
    assert all(frame.startswith(b"\x1b[?2026h") and frame.endswith(b"\x1b[?2026l") for frame in window.frames)


def test_text_that_only_grows_is_not_painted_again() -> None:
    window = Window(60, 20)
    window.write(["one ", "two ", "three"], FRAME_S)
    assert window.sent.count("one") == 1
    assert window.shown() == ["one two three"]


@pytest.mark.parametrize(("rows", "most"), [(40, 12), (12, 5), (6, 2), (3, 1), (1, 1)])
def test_the_tail_is_short_enough_for_the_window(rows: int, most: int) -> None:
    window = Window(20, rows)
    window.write(f"word{number} " for number in range(100))
    heights = [frame.count(b"\x1b[1A") + 1 for frame in window.frames]
    assert max(heights) == most
    window.output.finish()
    assert window.shown() == printed("".join(f"word{number} " for number in range(100)), 20, rows)


@pytest.mark.parametrize("columns", [1, 2, 20, 200])
def test_terminals_of_every_width(columns: int) -> None:
    window = Window(columns, 24)
    window.write(ANSWER)
    window.output.finish()
    if columns > 2:  # there a character of two cells has no place
        assert window.shown() == printed(ANSWER, columns, 24)


def test_every_word_is_there_once_when_the_window_changes_meanwhile() -> None:
    sizes = itertools.cycle([(80, 24), (30, 10), (1, 3), (60, 5), (100, 40)])
    window = Window(100, 40)
    for number in range(400):
        if number % 25 == 0:
            window.resize(*next(sizes))
        window.write([f"word{number}" + ("\n\n" if number % 40 == 39 else " ")])
    window.output.finish()
    plain = OUR_CODES.sub("", window.sent)
    assert all(f"word{number}" in plain for number in range(400))


def test_codes_in_the_answer_are_only_shown() -> None:
    window = Window(60, 20)
    window.write(
        "\x1b]0;title\x07 \x9b2J `\x1b[31m` &#27;[1m &#x202e;abc [x](http://y/\x1b[2J)\n\n```\x1b[1m\n\x1b[5m\n"
    )
    window.output.finish()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", OUR_CODES.sub("", window.sent))
    assert "␛]0;title␇" in window.sent and "␛[5m" in window.sent


@pytest.mark.parametrize("styling", ["attributes", "none"])
def test_without_colours_the_text_is_the_same(styling: Styling) -> None:
    colored, plain = Window(60, 30), Window(60, 30, styling)
    for window in (colored, plain):
        window.write(ANSWER)
        window.output.finish()
    assert plain.shown() == colored.shown()
    assert any(line.startswith("── python ──") for line in plain.shown())
    assert re.search(r"\x1b\[[0-9;]*3[1-7]m", colored.sent)
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", plain.sent))
    assert not any(int(part or 0) >= 30 for code in codes for part in code.split(";"))
    assert ("1" in codes) == (styling == "attributes")


def test_without_a_live_tail_only_finished_lines_are_sent() -> None:
    window = Window(60, 30, "none", live=False)
    window.write(ANSWER)
    window.output.finish()
    assert "\x1b" not in window.sent
    assert window.sent == re.sub(r"\x1b\[[0-9;]*m", "", render_markdown(ANSWER, 60, color=True))


def test_an_answer_that_continues_begins_with_the_block_that_was_not_finished() -> None:
    whole = render_markdown(ANSWER, 60, color=True)
    for end in range(0, len(ANSWER), 3):
        window = Window(60, 30, live=False)
        window.output.follow(ANSWER[:end])
        window.write([ANSWER[end:]])
        window.output.finish()
        assert whole.endswith(window.sent) and ANSWER[end:].split()[-1].strip("*`|") in window.sent
    assert window.sent.startswith("The end")


def test_a_stopped_answer_ends_with_one_line_end_and_an_empty_one_is_a_line() -> None:
    for text, end in [
        ("Half a sent", "Half a sent\n"),
        ("- item\n\n\n", "item\n"),
        ("```py\ncode\n\n\n", f"─\ncode\n{'─' * 40}\n"),
        ("", "\n"),
    ]:
        window = Window()
        window.write([text])
        window.output.finish()
        plain = OUR_CODES.sub("", window.sent)
        assert plain.endswith(end) and not plain.endswith("\n" + end)


def test_discard_erases_the_unfinished_tail_only() -> None:
    window = Window(60, 30)
    window.write(["Finished.\n\n", "Not fin", "ished"], FRAME_S)
    window.output.discard()
    assert window.shown() == ["Finished."]
    sent = len(window.frames)
    window.output.discard()
    assert len(window.frames) == sent


def test_a_pause_ends_what_is_shown_so_that_others_can_print_below() -> None:
    window = Window(60, 30)
    window.output.pause()
    assert window.sent == ""
    window.write(["Let me **look", " it up** \n\n- now"], 0.01)
    window.output.pause()
    window.receive(b"look_up()\n")
    window.write(["It is 5", "."], FRAME_S)
    window.output.pause()
    window.receive(b"again()\n")
    window.output.finish()
    assert window.shown() == ["Let me look it up", "", " • now", "look_up()", "It is 5.", "again()"]


def test_after_a_stop_the_tail_is_painted_again_and_the_lines_of_the_shell_stay() -> None:
    window = Window(60, 30)
    window.write(["A verse\nthat"], FRAME_S)
    window.receive(b"\n[1]+  Stopped\n$ fg\n")
    window.output.resumed()
    window.write([" resumes", " and on"], FRAME_S)
    window.output.finish()
    shell = ["[1]+  Stopped", "$ fg"]
    assert window.shown() == ["A verse", "that", *shell, "A verse", "that resumes and on"]


@pytest.mark.parametrize("part", [0, 12, 30, 1000])
def test_after_a_partial_write_the_whole_screen_is_painted(part: int) -> None:
    window = Window(60, 30)

    def cut_short(data: bytes) -> None:
        window.receive(data[:part])
        raise KeyboardInterrupt

    window.write(["# Title\n\nSome **bold** te"], FRAME_S)
    window.take = cut_short
    with pytest.raises(KeyboardInterrupt):
        window.write(["xt"], FRAME_S)
    window.take = window.receive
    window.output.finish()
    assert window.shown()[-1] == "Some bold text"
    assert modes_are_restored(window)


def test_what_the_terminal_refuses_is_an_error_of_ours_and_nothing_to_discard() -> None:
    def refuse(data: bytes) -> None:
        raise OutputError("cannot write to stdout: Input/output error", "free some space, or write elsewhere")

    output = MarkdownOutput(send=refuse, size=lambda: (80, 24))
    with pytest.raises(OutputError):
        output.write("text")
    output.discard()


def test_work_and_bytes_for_each_token_stay_the_same_in_long_answers() -> None:
    """The calls of functions are counted, not the time."""

    def measured(count: int) -> tuple[float, float]:
        calls = 0

        def count_call(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            calls += event == "call"

        window = Window(100, 40)
        window.take = window.frames.append
        tokens = answer(count)
        sys.setprofile(count_call)
        try:
            window.write(tokens, 0.02)
            window.output.finish()
        finally:
            sys.setprofile(None)
        return calls / count, len(b"".join(window.frames)) / len("".join(tokens).encode())

    measured(100)  # what is imported and compiled at first
    (short_calls, short_bytes), (long_calls, long_bytes) = measured(1000), measured(6000)
    assert long_calls < 1.2 * short_calls
    assert long_bytes < 1.2 * short_bytes
    assert long_bytes <= 10
