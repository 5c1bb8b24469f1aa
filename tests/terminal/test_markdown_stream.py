"""The cutting of a growing text: every piece once, final, and the same whatever the text came in."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given

from hermes_cli.terminal.markdown_stream import Code, Item, MarkdownStream, Piece, pieces_of
from hermes_cli.terminal.sanitize import for_terminal
from tests.terminal.markdown_documents import cuts, documents, on_many_documents, places


def streamed(chunks: Iterable[str]) -> list[Piece]:
    stream = MarkdownStream()
    return [piece for chunk in chunks for piece in stream.feed(chunk)] + stream.finish()


def facts(pieces: Iterable[Piece]) -> list[Any]:
    """What a piece says, without where in the source it stood; the lines of code as one block."""
    told: list[Any] = []
    for piece in pieces:
        if isinstance(piece, Code) and not piece.first:
            told[-1][1].extend(piece.lines)
        elif isinstance(piece, Code):
            told.append((piece.language, list(piece.lines)))
        else:
            label = (piece.label, piece.first) if isinstance(piece, Item) else None
            told.append((label, [(token.type, token.tag, token.content, token.attrs) for token in piece.tokens]))
    for fact in told:
        while isinstance(fact[1], list) and fact[1] and isinstance(fact[1][-1], str) and not fact[1][-1].strip():
            fact[1].pop()  # blank lines at the end of code are not shown
    return told


@on_many_documents
@given(documents, places)
def test_the_pieces_are_those_of_one_parse_however_the_text_was_cut(text: str, where: list[int]) -> None:
    clean = for_terminal(text)
    whole = facts(pieces_of(clean))
    for chunks in cuts(clean, where):
        assert facts(streamed(chunks)) == whole
