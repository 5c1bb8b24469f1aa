"""The built-in tools, called the way the model calls them: through their children."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from hermes_cli.tools.toolbox import Toolbox, built_in_names, load_toolbox
from tests.tools.conftest import call


@pytest.fixture(scope="module")
def toolbox() -> Iterator[Toolbox]:
    """All built-in tools."""
    with load_toolbox(built_in_names()) as opened:
        yield opened


def test_there_are_four_and_only_fetching_asks(toolbox: Toolbox) -> None:
    assert {name: tool.read_only for name, tool in toolbox.tools.items()} == {
        "calculate": True,
        "current_time": True,
        "fetch_url": False,
        "read_file": True,
    }
    for tool in toolbox.tools.values():
        assert tool.origin == "built-in"
        assert all(one["description"] for one in tool.parameters["properties"].values())


def test_current_time(toolbox: Toolbox) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    value = call(toolbox, "current_time", timezone="UTC").value
    report = datetime.fromisoformat(f"{value['date']}T{value['time']}+00:00")
    assert before <= report <= datetime.now(UTC)
    assert (value["weekday"], value["utc_offset"]) == (report.strftime("%A"), "+0000")
    assert set(call(toolbox, "current_time").value) == set(value)
    for zone in ("Mars/Base", "../../etc/passwd", "a\0b"):
        assert "there is no time zone" in str(call(toolbox, "current_time", timezone=zone).error)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2 ** 10", 1024),
        ("2 ^ 10", 1024),
        ("-7 // 2", -4),
        ("7 % 3 - +1", 0),
        ("10 / 4", 2.5),
        ("1 / 3", 1 / 3),
        ("sqrt(16) + round(2.567, 1) + max(1, 2)", 8.6),
        ("round(25, -1) + round(1234.5, -999999999) + round(7, 999999999) + round(2.5)", 29),
        ("+".join(["1"] * 400), 400),
        ("factorial(20)", 2432902008176640000),
        ("2 ** -1", 0.5),
        ("3 ** -99999", 0.0),
        ("cos(pi)", -1.0),
        ("123456789 * 987654321", 121932631112635269),
    ],
)
def test_calculate(toolbox: Toolbox, expression: str, value: float) -> None:
    assert call(toolbox, "calculate", expression=expression).value == pytest.approx(value, rel=1e-15, abs=1e-15)


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("1 / 0", "division by zero"),
        ("9 ** 9 ** 9", "the result is too large"),
        ("10.0 ** 999", "the result is too large"),
        ("factorial(100000)", "the number is too large"),
        ("factorial(0.5)", "factorial(0.5): "),
        ("(-8) ** 0.5", "is not a real number"),
        ("sqrt(-1)", "sqrt(-1): "),
        ("sqrt()", "sqrt(): "),
        ("1 +", "is not an arithmetic expression"),
        ("", "is not an arithmetic expression"),
        ("x + 1", "x is not arithmetic"),
        ("'a' * 3", "'a' is not arithmetic"),
        ("True", "True is not arithmetic"),
        ("1j", "1j is not arithmetic"),
        ("[1][0]", "is not arithmetic"),
        ("().__class__", "is not arithmetic"),
        ("__import__('os').system('id')", "is not arithmetic"),
        ("open('/etc/passwd')", "is not arithmetic"),
        ("round(1, ndigits=2)", "is not arithmetic"),
        ("1" * 2000, "longer than 1000 characters"),
        ("(" * 300 + "1" + ")" * 300, "is not an arithmetic expression"),
        ("-" * 999 + "1", "nested too deeply"),
        ("[" + "-" * 900 + "1]", "nested too deeply"),
        ("round(1, 0.5)", "round(1, 0.5): "),
        ("7" * 999, None),
    ],
)
def test_calculate_refuses(toolbox: Toolbox, expression: str, error: str | None) -> None:
    result = call(toolbox, "calculate", expression=expression, timeout_s=10)
    assert error in str(result.error) if error else result.value == int(expression)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toolbox]:
    """read_file in a folder with all kinds of files, below one that must not be read."""
    tmp_path = tmp_path_factory.mktemp("files")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "root-beside").mkdir()
    (tmp_path / "root-beside" / "secret.txt").write_text("secret")
    (root / "a.txt").write_text("one\ntwo\n")
    (root / "long.txt").write_text("".join(f"line {number}\n" for number in range(1, 5001)))
    (root / "wide.txt").write_text("x" * 100_000)
    (root / "empty.txt").write_text("")
    (root / "binary").write_bytes(b"\x7fELF\0\0")
    (root / "latin.txt").write_bytes(b"caf\xe9")
    with (root / "huge.txt").open("wb") as file:
        file.truncate(20_000_000)
    (root / "sub" / "inside").symlink_to(root / "a.txt")
    (root / "sub" / "outside").symlink_to(tmp_path / "secret.txt")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    with load_toolbox([f"read_file:{root}"]) as opened:
        yield opened


def test_read_file(reader: Toolbox) -> None:
    assert call(reader, "read_file", path="a.txt").value == "one\ntwo\n"
    assert call(reader, "read_file", path="sub/../a.txt", first_line=2).value == "two\n"
    assert call(reader, "read_file", path="sub/inside").value == "one\ntwo\n"
    assert call(reader, "read_file", path="empty.txt").value == ""
    assert call(reader, "read_file", path="sub").value == "inside\noutside"
    names = call(reader, "read_file", path=".").value.splitlines()
    assert "sub/" in names and "a.txt" in names


def test_read_file_continues_in_a_long_file(reader: Toolbox) -> None:
    first = call(reader, "read_file", path="long.txt").value
    assert first.startswith("line 1\n")
    body, _, notice = first.rpartition("\n[")
    following = int(notice.removesuffix("]").rpartition(" ")[2])
    assert notice == f"5000 lines in all; to read on: first_line {following}]"
    assert body.endswith(f"line {following - 1}\n")
    assert call(reader, "read_file", path="long.txt", first_line=following).value.startswith(f"line {following}\n")
    assert "[cut here" in call(reader, "read_file", path="wide.txt").value


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("../secret.txt", "is outside the folder"),
        ("../root-beside/secret.txt", "is outside the folder"),
        ("/etc/passwd", "is outside the folder"),
        ("sub/outside", "is outside the folder"),
        ("out/secret.txt", "is outside the folder"),
        ("none.txt", "cannot read none.txt: No such file"),
        ("a\0b", "NUL"),
        ("binary", "is not text"),
        ("latin.txt", "is not UTF-8 text"),
        ("huge.txt", "at most 10,000,000 are read"),
        ("pipe", "it is not a regular file"),
        ("loop", "cannot read loop: Too many levels of symbolic links"),
        ("~/x", "No such file"),
    ],
)
def test_read_file_refuses(reader: Toolbox, path: str, error: str) -> None:
    result = call(reader, "read_file", path=path, timeout_s=10)
    assert error in str(result.error)
    assert "secret\n" not in str(result)
