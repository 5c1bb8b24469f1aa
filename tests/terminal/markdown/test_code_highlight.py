"""Colours of code, line by line: the text is never changed, and what goes over several lines keeps its colour."""

import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.lexers import get_lexer_by_name
from rich.text import Text

import hermes_cli.terminal.markdown.code_highlight as code_highlight
from hermes_cli.terminal.markdown.code_highlight import PLAIN_CODE, CodeHighlighter

LANGUAGES = [
    "python",
    "c",
    "rust",
    "javascript",
    "bash",
    "json",
    "yaml",
    "html",
    "toml",
    "console",
    "diff",
    "latex",
    "nosuch",
]
FRAGMENTS = [
    *('"', "'", '"""', "/*", "*/", "//", "#", "{", "}", "(", ")", "<!--", "-->", "<a b='", "${", "`", "\\", "\t", "  "),
    *("def f(x):", "class A:", "key: |", "- item", "$ ls", "@@ -1 +1 @@", "+new", "if", "中", "1e5", "&amp;", "<<EOF"),
]
lines = st.lists(st.sampled_from(FRAGMENTS), max_size=8).map(" ".join) | st.text("ab\"'/*<>-#\\{}()=: ", max_size=20)


def colors(line: Text) -> list[str]:
    """The colour of each character that is seen."""
    found = [str(line.style)] * len(line)
    for span in line.spans:
        found[span.start : span.end] = [str(span.style)] * (span.end - span.start)
    return [color for color, character in zip(found, line.plain, strict=True) if not character.isspace()]


@given(st.sampled_from(LANGUAGES), st.lists(lines, max_size=12), lines)
def test_the_text_is_never_changed_and_a_look_ahead_changes_nothing(language: str, code: list[str], ahead: str) -> None:
    looking, other = CodeHighlighter(language), CodeHighlighter(language)
    for line in code:
        assert looking.fork().line(ahead).plain == ahead
        drawn = looking.line(line)
        assert drawn.plain == line
        assert colors(drawn) == colors(other.line(line))


def test_line_by_line_python_has_the_colours_of_the_whole_file() -> None:
    source = Path(inspect.getfile(code_highlight)).read_text()
    whole = Text()
    for _, kind, part in get_lexer_by_name("python").get_tokens_unprocessed(source):
        whole.append(part, code_highlight._style(kind, "terminal"))
    highlighter = CodeHighlighter("python")
    for line, expected in zip(source.split("\n"), whole.split("\n", allow_blank=True), strict=False):
        assert colors(highlighter.line(line)) == colors(expected)


@pytest.mark.parametrize(
    ("language", "code", "comment"),
    [
        ("c", ["int a; /* begins", "resumes", "ends */ int b;"], [7, 0, 0]),
        ("javascript", ['let s = "/* text";', "let t;"], [-1, -1]),
        ("css", ["/*", "a { b: c }", "*/"], [0, 0, 0]),
        ("html", ["<p><!-- begins", "<b>", "--></p>"], [3, 0, 0]),
    ],
)
def test_comments_over_several_lines(language: str, code: list[str], comment: list[int]) -> None:
    """Where in each line the comment begins, or -1."""
    highlighter = CodeHighlighter(language)
    drawn = [highlighter.line(line) for line in code]
    found = [next((span.start for span in sorted(line.spans) if "italic" in str(span.style)), -1) for line in drawn]
    assert found == comment


@pytest.mark.parametrize("language", ["", "nosuchlanguage", "text", "{.", "x" * 1000])
def test_code_of_no_known_language_has_one_colour(language: str) -> None:
    assert CodeHighlighter(language).line("def f(): pass").style == PLAIN_CODE


def test_names_of_languages_as_people_write_them() -> None:
    for language in ("Python", "py", "{.python}", "JS", "c++", "sh", "shell"):
        assert CodeHighlighter(language).line('x = "1"').spans


def test_very_long_line_is_not_highlighted() -> None:
    assert CodeHighlighter("python").line("x = 1;" * 10_000).spans == []
