"""The painter: after every frame the screen shows what was committed and below it the rows, whatever came before."""

import pyte
from hypothesis import example, given
from hypothesis import strategies as st

from hermes_cli.terminal.markdown.painter import RESTORE, Painter, Row

COLUMNS, ROWS = 12, 8
texts = st.sampled_from(
    ["", "a", "ab", "ab ", "b", "\x1b[1ma\x1b[0m", "x" * COLUMNS, "x" * (COLUMNS + 3), "中", "中中"]
)
rows = st.lists(texts, max_size=3)
frames = st.lists(st.tuples(st.lists(texts, max_size=3), rows), max_size=8)


def row(text: str) -> Row:
    plain = text.removeprefix("\x1b[1m").removesuffix("\x1b[0m")
    return Row(text, sum(2 if character == "中" else 1 for character in plain))


def printed(lines: list[str], columns: int = COLUMNS) -> list[str]:
    """The screen and what scrolled out after `lines` were printed, the last without its end."""
    screen = pyte.HistoryScreen(columns, ROWS, history=1000, ratio=0.5)
    screen.set_mode(pyte.modes.LNM)
    pyte.Stream(screen).feed("\n".join(lines))
    return shown(screen)


def shown(screen: pyte.HistoryScreen) -> list[str]:
    above = ["".join(line[column].data for column in range(screen.columns)).rstrip() for line in screen.history.top]
    lines = [*above, *(line.rstrip() for line in screen.display)]
    return lines[: len(above) + screen.cursor.y + 1]


@given(frames)
@example([([], ["a", "b"]), ([], ["a"]), (["a"], [])])
@example([([], ["a"]), (["b"], ["ab"]), ([], ["ab", "b"])])
def test_after_every_frame_the_screen_is_what_was_committed_and_the_rows(
    paints: list[tuple[list[str], list[str]]],
) -> None:
    screen = pyte.HistoryScreen(COLUMNS, ROWS, history=1000, ratio=0.5)
    screen.set_mode(pyte.modes.LNM)
    stream = pyte.ByteStream(screen)
    painter = Painter(stream.feed, reflows=False)
    committed: list[str] = []
    for lines, tail in paints:
        committed += lines
        painter.paint("".join(f"{line}\n" for line in lines), [row(text) for text in tail], COLUMNS)
        # Rows of the tail are cut at the edge, where committed lines wrap to the next row.
        assert shown(screen) == printed([*committed, *(clipped(text) for text in tail or [""])])
    painter.finish("end\n", COLUMNS)
    assert shown(screen) == printed([*committed, "end", ""])


def clipped(text: str) -> str:
    """A row cut to the terminal width: without autowrap its last cell holds the last character."""
    return text[: COLUMNS - 1] + text[-1] if row(text).cells > COLUMNS else text


def test_frame_is_one_write_and_resets_terminal_modes() -> None:
    writes: list[bytes] = []
    painter = Painter(writes.append)
    painter.paint("", [row("a")], 80)
    painter.paint("", [row("a")], 80)
    painter.paint("", [row("ab")], 80)
    painter.paint("done\n", [row("b"), row("c")], 80)
    painter.finish("b\nc\n", 80)
    assert writes == [
        b"\x1b[?2026h\x1b[?7la\x1b[?7h\x1b[?2026l",
        b"\x1b[?2026h\x1b[?7lb\x1b[?7h\x1b[?2026l",
        b"\x1b[?2026h\r\x1b[2Kdone\n\x1b[?7lb\nc\x1b[?7h\x1b[?2026l",
        b"\x1b[?2026h\r\x1b[2K\x1b[1A\x1b[2Kb\nc\n" + RESTORE.encode(),
    ]


def test_rows_that_the_terminal_wrapped_again_are_all_erased() -> None:
    writes: list[bytes] = []
    painter = Painter(writes.append)
    painter.paint("", [row("x" * 25), row("y" * 10)], 30)
    painter.paint("", [row("z")], 10)
    assert writes[-1].count(b"\x1b[2K") == 4
