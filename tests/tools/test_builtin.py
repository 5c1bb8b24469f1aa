"""The built-in tools, called the way the model calls them: through their children."""

import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
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
    told = datetime.fromisoformat(f"{value['date']}T{value['time']}+00:00")
    assert before <= told <= datetime.now(UTC)
    assert (value["weekday"], value["utc_offset"]) == (told.strftime("%A"), "+0000")
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
        ("1 / 0", "a division by zero"),
        ("9 ** 9 ** 9", "the result is too large"),
        ("10.0 ** 999", "the result is too large"),
        ("factorial(100000)", "the number is too large"),
        ("factorial(0.5)", "factorial(0.5): "),
        ("(-8) ** 0.5", "is no real number"),
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


def test_read_file_goes_on_in_a_long_file(reader: Toolbox) -> None:
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
        ("../secret.txt", "lies outside of the folder"),
        ("../root-beside/secret.txt", "lies outside of the folder"),
        ("/etc/passwd", "lies outside of the folder"),
        ("sub/outside", "lies outside of the folder"),
        ("out/secret.txt", "lies outside of the folder"),
        ("none.txt", "cannot read none.txt: No such file"),
        ("a\0b", "NUL"),
        ("binary", "is not text"),
        ("latin.txt", "is not UTF-8 text"),
        ("huge.txt", "at most 10,000,000 are read"),
        ("pipe", "it is no regular file"),
        ("loop", "cannot read loop: Too many levels of symbolic links"),
        ("~/x", "No such file"),
    ],
)
def test_read_file_refuses(reader: Toolbox, path: str, error: str) -> None:
    result = call(reader, "read_file", path=path, timeout_s=10)
    assert error in str(result.error)
    assert "secret\n" not in str(result)


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, http.server.HTTPServer)
        port = self.server.server_port
        match self.path:
            case "/page":
                html = "<title>t</title><h1>A &amp; B</h1><script>evil()</script><p>one  two<br>three"
                self._answer(html.encode(), "text/html; charset=utf-8")
            case "/short":
                html = "<!DOCTYPE html><head><title>t</title><table><tr><th>A<th>B<tr><td>1<td>2</table>"
                self._answer(html.encode(), "text/html")
            case "/plain":
                self._answer("caf\xe9".encode("latin-1"), "text/plain; charset=latin-1")
            case "/image":
                self._answer(b"\x89PNG", "image/png")
            case "/lie":
                self._answer(b"\0\1\2", "text/plain")
            case "/big":
                self._answer(b"x" * 3_000_000, "text/plain")
            case "/to-page":
                self._redirect("/page")
            case "/to-private":
                self._redirect(f"http://127.0.0.1:{port}/plain")
            case "/to-file":
                self._redirect("file:///etc/passwd")
            case "/talk":
                self._redirect("/plain")
                with suppress(OSError):
                    while True:
                        self.wfile.write(b"x" * 65536)
            case "/loop":
                self._redirect("/loop")
            case "/slow":
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                time.sleep(20)
            case _:
                self.send_error(404)

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # a reader that has enough goes away
            self.wfile.write(body)

    def _redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A web server that is allowed to be fetched from as `localhost`, not as 127.0.0.1."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as pages:
        pages.daemon_threads = True
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield f"http://localhost:{pages.server_port}"
        pages.shutdown()


@pytest.fixture(scope="module")
def fetcher() -> Iterator[Toolbox]:
    with load_toolbox(["fetch_url:localhost"]) as opened:
        yield opened


def test_fetch_url(fetcher: Toolbox, server: str) -> None:
    assert call(fetcher, "fetch_url", url=f"{server}/page").value == "t\nA & B\n\none two\nthree"
    # Tags may be left out, as the one that ends the head.
    assert call(fetcher, "fetch_url", url=f"{server}/short").value == "A B\n1 2"
    assert call(fetcher, "fetch_url", url=f"{server}/to-page#part").value.startswith("t\nA & B")
    assert call(fetcher, "fetch_url", url=f"{server}/plain").value == "caf\xe9"


def test_fetch_url_does_not_read_what_comes_with_a_redirect(fetcher: Toolbox, server: str) -> None:
    assert call(fetcher, "fetch_url", url=f"{server}/talk", timeout_s=10).value == "caf\xe9"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/image", "is no text, but image/png"),
        ("/lie", "is no text"),
        ("/big", "the page has more than 2,000,000 bytes"),
        ("/none", "answers 404"),
        ("/\u00e9 ", "the address holds spaces"),
        ("/\u00e9", "answers 404"),
        ("/to-private", "127.0.0.1 has the private address 127.0.0.1"),
        ("/to-file", "file:///etc/passwd' is not allowed"),
        ("/loop", "infinite loop"),
    ],
)
def test_fetch_url_refuses(fetcher: Toolbox, server: str, path: str, error: str) -> None:
    assert error in str(call(fetcher, "fetch_url", url=server + path).error)


def test_fetch_url_ends_with_its_time(fetcher: Toolbox, server: str) -> None:
    assert "took longer than 1 s" in str(call(fetcher, "fetch_url", url=f"{server}/slow", timeout_s=1).error)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("file:///etc/passwd", "is no web address"),
        ("ftp://a.example/", "is no web address"),
        ("a.example", "is no web address"),
        ("http://", "is no web address"),
        ("http://user:word@a.example/", "a user name is not fetched"),
        ("http://127.0.0.1/", "private address 127.0.0.1"),
        ("http://2130706433/", "private address 127.0.0.1"),
        ("http://0/", "private address 0.0.0.0"),
        ("http://10.1.2.3/", "private address"),
        ("http://169.254.169.254/latest/meta-data", "private address"),
        ("http://[::1]/", "private address ::1"),
        ("http://[::ffff:127.0.0.1]/", "private address"),
        ("http://[64:ff9b::7f00:1]/", "private address"),
        ("http://[64:ff9b:1::7f00:1]/", "private address"),
        ("http://[fec0::2]/", "private address"),
        ("http://[::127.0.0.1]/", "private address"),
        ("http://224.0.0.1/", "private address"),
        ("http://localhost:99999/", "ort out of range"),
    ],
)
def test_fetch_url_leaves_private_places_alone(toolbox: Toolbox, url: str, error: str) -> None:
    assert error in str(call(toolbox, "fetch_url", url=url).error)


def test_fetch_url_tells_that_nobody_answers(fetcher: Toolbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = call(fetcher, "fetch_url", url=f"http://localhost:{taken.getsockname()[1]}/").error
    assert "cannot be fetched: " in str(error) and "refused" in str(error)
