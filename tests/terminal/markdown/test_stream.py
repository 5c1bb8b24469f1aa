"""The cutting of a growing text: every piece once, final, and the same whatever the text came in."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given

from hermes_cli.terminal.markdown.stream import Code, Item, MarkdownStream, Piece, pieces_of
from hermes_cli.terminal.sanitize import for_terminal
from tests.terminal.markdown.documents import cuts, documents, on_many_documents, places


def streamed(chunks: Iterable[str]) -> list[Piece]:
    stream = MarkdownStream()
    return [piece for chunk in chunks for piece in stream.feed(chunk)] + stream.finish()


def facts(pieces: Iterable[Piece]) -> list[Any]:
    """What a piece says, without where in the source it stood; the lines of code as one block."""
    report: list[Any] = []
    for piece in pieces:
        if isinstance(piece, Code) and not piece.first:
            report[-1][1].extend(piece.lines)
        elif isinstance(piece, Code):
            report.append((piece.language, list(piece.lines)))
        else:
            label = (piece.label, piece.first) if isinstance(piece, Item) else None
            report.append((label, [(token.type, token.tag, token.content, token.attrs) for token in piece.tokens]))
    for fact in report:
        while isinstance(fact[1], list) and fact[1] and isinstance(fact[1][-1], str) and not fact[1][-1].strip():
            fact[1].pop()  # blank lines at the end of code are not shown
    return report


@on_many_documents
@example("# |1\n--- | ---", [])
@example("```a|b\n---|---", [])
@given(documents, places)
def test_the_pieces_are_those_of_one_parse_however_the_text_was_cut(text: str, where: list[int]) -> None:
    clean = for_terminal(text)
    whole = facts(pieces_of(clean))
    for chunks in cuts(clean, where):
        assert facts(streamed(chunks)) == whole


@pytest.mark.parametrize("indent", range(4))
@pytest.mark.parametrize("start", ["", " ", "  ", "   ", "    ", "\t", " \t", "  \t", "   \t", "\t\t", " \t \t"])
def test_code_loses_the_indent_of_its_fence_and_no_more(indent: int, start: str) -> None:
    text = f"{' ' * indent}```\n{start}code\n```\n"
    assert facts(streamed(text)) == facts(pieces_of(text))


def test_a_piece_comes_as_soon_as_it_is_final() -> None:
    """What each chunk brings, and after it."""
    growing = [
        ("# Head", 0), ("ing\n", 1), ("para", 0), ("graph\n", 0), ("\n", 1), ("- a\n", 0), ("- b", 0), ("\n", 1),
        ("\n", 0), ("***\n", 2), ("> quote\n\n", 1), ("|a|\n|-|\n|b|\n", 0), ("\n", 1), ("```py\n", 1), ("x = 1", 0),
        ("\n", 1), ("```", 0), ("\n", 1), ("~~~\nx\n~~~\n", 1), ("end", 0),
    ]  # fmt: skip
    stream = MarkdownStream()
    assert [(chunk, len(stream.feed(chunk))) for chunk, _ in growing] == growing
    assert len(stream.finish()) == 1
