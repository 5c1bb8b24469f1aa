"""What is printed for a piece: the same bytes streamed or at once, harmless, without padding, and good to read."""

import re
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.terminal.markdown.stream import MarkdownStream, pieces_of
from hermes_cli.terminal.markdown.writer import MarkdownWriter, Styling, render_markdown
from hermes_cli.terminal.sanitize import for_terminal
from tests.terminal.markdown.documents import cuts, documents, on_many_documents, places

SGR = re.compile(r"\x1b\[[0-9;]*m")
stylings = st.sampled_from(["colors", "attributes", "none"])


def streamed(chunks: Iterable[str], styling: Styling, width: int) -> str:
    stream, writer = MarkdownStream(), MarkdownWriter(styling)
    out = []
    for chunk in chunks:
        out.append(writer.lines(stream.feed(for_terminal(chunk)), width))
        writer.rows(stream.tail(), width, 5)  # what is shown meanwhile changes nothing
    return "".join(out) + writer.lines(stream.finish(), width)


@on_many_documents
@given(documents, places, st.sampled_from([20, 80]))
def test_streamed_is_byte_for_byte_what_one_render_gives(text: str, where: list[int], width: int) -> None:
    whole = render_markdown(text, width, color=True)
    for chunks in cuts(text, where):
        assert streamed(chunks, "colors", width) == whole


@given(documents, st.integers(1, 120), stylings)
def test_lines_are_harmless_and_end_with_their_last_character(text: str, width: int, styling: Styling) -> None:
    shown = streamed([text], styling, width)
    plain = SGR.sub("", shown)
    assert for_terminal(plain) == plain
    assert styling != "none" or plain == shown
    assert not re.search(r"[ \t]$", plain, re.MULTILINE)
    assert shown == "" or (plain.endswith("\n") and not plain.endswith("\n\n") and not plain.startswith("\n"))


def test_unsafe_text_is_made_harmless_at_the_output_too() -> None:
    evil = "\x1b[2J\u202e"
    text = f"{evil}\n\n# {evil}\n- {evil}\n\n|{evil}|\n|-|\n\n`{evil}`\n```py\n{evil} = 1\n```\n[a](b{evil})"
    for styling in ("colors", "attributes", "none"):
        shown = SGR.sub("", MarkdownWriter(styling).lines(pieces_of(text), 40))
        assert for_terminal(shown) == shown
