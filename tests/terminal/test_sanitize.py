"""Property tests of the neutraliser: whatever a model, a file name or an error says, the terminal only prints it."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.terminal.sanitize import for_terminal, one_line
from tests.terminal.markdown.documents import on_many_documents

REORDERING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
INVISIBLE = "\u00ad\u061c\u2060\ufeff\u115f\u1160\u3164\uffa0"
dangerous = st.sampled_from(
    [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *INVISIBLE, "\u2028", "\u2029", "\ud800", "\udfff"]
    + [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xE0001, 0xE0041, 0xE007F, 0xE0100)]
)
characters = st.characters(exclude_categories=[]) | dangerous
texts = st.text(characters) | st.text(dangerous)


def is_forbidden(character: str) -> bool:
    """Spelled by Unicode property, not by the program's own table."""
    control = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in "\t\n"
    tag = 0xE0000 <= ord(character) < 0xE0080 or 0xE0100 <= ord(character) < 0xE01F0
    return control or tag or unicodedata.bidirectional(character) in REORDERING or character in INVISIBLE


@on_many_documents
@given(texts)
def test_no_dangerous_character_is_left(text: str) -> None:
    assert [character for character in for_terminal(text) if is_forbidden(character)] == []


@on_many_documents
@given(texts, texts)
def test_where_the_text_is_cut_makes_no_difference(first: str, second: str) -> None:
    assert for_terminal(first) + for_terminal(second) == for_terminal(first + second)


@on_many_documents
@given(texts)
def test_cleaning_twice_changes_nothing_and_the_result_can_always_be_written(text: str) -> None:
    clean = for_terminal(text)
    assert for_terminal(clean) == clean
    assert clean.encode("utf-8").decode("utf-8") == clean


@on_many_documents
@given(st.text(characters.filter(lambda character: not is_forbidden(character))))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert for_terminal(text) == text


@on_many_documents
@given(texts)
def test_a_message_is_one_line_without_control_characters(text: str) -> None:
    line = one_line(text)
    assert line == line.strip()
    assert not any(character in "\n\t" or is_forbidden(character) for character in line)


def test_escapes_shown_for_control_characters() -> None:
    assert for_terminal("\x1b[31mred\x1b[0m") == "␛[31mred␛[0m"
    assert for_terminal("two\r\nlines\rthree\u2028four") == "two\nlinesthree\nfour"
    assert for_terminal("a\x9b2Jb\x7f\x00") == "a\ufffd2Jb␡␀"
    assert for_terminal("\u202egpj.exe\u202c") == "gpj.exe"
    assert for_terminal("👩\u200d👧 किताब ❤\ufe0f\tx\n") == "👩\u200d👧 किताब ❤\ufe0f\tx\n"
    assert one_line("no\nsuch\x1b]0;title\x07 file\t!") == "no such␛]0;title␇ file !"
