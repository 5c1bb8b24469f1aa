"""Tables that fit a terminal: dropped columns, cut or wrapped cells, and wide characters."""

from hermes_cli.terminal.columns import beside, cells, cut, table, wrapped

ROWS = [("id", "used", "from", "what it is for"), ("a-1", "today", "/x/y", "one two three four five six seven")]


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert [cells(text) for text in ("abc", "日本", "e\u0301")] == [3, 4, 1]
    assert (cut("日本語", 6), cut("日本語", 5), cut("abc", 2)) == ("日本語", "日本…", "a…")


def test_lines_are_broken_at_spaces_only() -> None:
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("one two three", 7, taken=1) == ["one", "two", "three"]
    assert wrapped("see /a/very/long/path now", 8) == ["see", "/a/very/long/path", "now"]
    assert wrapped("two  spaces", 40) == ["two  spaces"]


def test_a_name_in_quotes_stays_in_one_piece() -> None:
    line = "the model's answer; hermes chat --session '/a b/c d.jsonl' resumes"
    assert wrapped(line, 30) == ["the model's answer; hermes", "chat --session", "'/a b/c d.jsonl' resumes"]
    assert " ".join(wrapped("two  spaces  stay", 5)) == "two  spaces  stay"


def test_a_description_is_wrapped_below_itself() -> None:
    assert table(ROWS, 37, order=(0, 1, 2), elastic=3) == (
        "id   used   what it is for\n"  # `from` would leave it less than 20 columns
        "a-1  today  one two three four five\n"
        "            six seven\n"
    )


def test_columns_leave_in_their_order_and_the_first_stays() -> None:
    heads = [
        table(ROWS, columns, order=(0, 2, 1), elastic=3, wrap=False).split("\n")[0].split()[:-4]
        for columns in (80, 33, 26)
    ]
    assert heads == [["id", "used", "from"], ["id", "from"], ["id"]]
    assert table(ROWS, 10, order=(0, 1), elastic=3) == "id   used\na-1  today\n"
    assert table(ROWS, 2, order=(0, 1), elastic=3) == "id\na-1\n"


def test_a_word_that_is_longer_than_its_column_continues_below_behind_a_slash_if_there_is_one() -> None:
    rows = [("a", "/usr/share/models/x.gguf"), ("b", "日本語のテキスト日本語"), ("c", "x" * 13)]
    assert table(rows, 15, order=(0,), elastic=1) == (
        "a  /usr/share/\n   models/\n   x.gguf\nb  日本語のテキ\n   スト日本語\nc  xxxxxxxxxxxx\n   x\n"
    )


def test_numbers_stand_at_the_right_and_a_cell_keeps_its_lines() -> None:
    assert table([("n", "t"), ("10", "a\nb")], 80, order=(0,), elastic=1, right=(0,)) == " n  t\n10  a\n    b\n"


def test_a_value_beside_its_name_is_continued_below_itself() -> None:
    assert beside("hint", "see all of it", 6, 80) == "hint  see all of it"
    shown = beside("hint", "see all of it", 6, 16)
    assert rows(shown, 16) == ["hint  see all", "      of it"]
    assert shown.split() == ["hint", "see", "all", "of", "it"] and "\n" not in shown


def test_a_word_that_is_too_long_for_its_column_is_not_broken() -> None:
    path = "/a/very/long/path"
    assert rows(beside("path", f"{path} now", 6, 20), 20) == ["path", f"  {path}", "      now"]
    assert rows(beside("path", f"in {path}{path}", 6, 20), 20) == ["path  in", path + path[:3], path[3:]]


def rows(text: str, columns: int) -> list[str]:
    """The rows of a terminal of that width that shows `text`."""
    return [text[start : start + columns].rstrip() for start in range(0, len(text), columns)]
