"""Attachments from files, folders, patterns, documents and URLs, and reasons for refusals."""

import gzip
import http.server
import io
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docx import Document

from hermes_cli.errors import UsageError
from hermes_cli.terminal.attachments.sources import attachments_at
from hermes_cli.terminal.attachments.text_file import NotText, read_text, text_or_file

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def pdf(text: str) -> bytes:
    """A PDF of one page, with its text or without any."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b""
    parts = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    )
    data, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(parts) + 1, len(data))
    return data + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (len(parts) + 1, table, trailer)


def docx() -> bytes:
    """A DOCX document with a paragraph and a table."""
    document, file = Document(), io.BytesIO()
    document.add_paragraph("The code of Mira is 7312.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    document.save(file)
    return file.getvalue()


def archive(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr(name, "text")
    return file.getvalue()


def tree(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(*sources: str | Path) -> list[str]:
    return [one.name for one in attachments_at(map(str, sources))]


def test_text_is_read_in_utf_8_and_utf_16_without_marks_and_the_last_newline(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / encoding).write_bytes("Grüße\n".encode(encoding))
        assert read_text(tmp_path / encoding) == "Grüße"
    for text in ("BMW and GIF8 and PK", "BM", "ID3 tags", "Rar!", "GGUF is a format", "%PD"):
        (tmp_path / "a").write_text(text)
        assert read_text(tmp_path / "a") == text


def test_documents_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("The code of Mira is 7312."))
    (tmp_path / "b.docx").write_bytes(docx())
    assert read_text(tmp_path / "a.pdf") == "The code of Mira is 7312."
    assert read_text(tmp_path / "b.docx") == "The code of Mira is 7312.\n\nleft | right"


def test_without_the_library_a_document_is_refused_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    (tmp_path / "a.pdf").write_bytes(pdf("text"))
    with pytest.raises(NotText) as raised:
        read_text(tmp_path / "a.pdf")
    assert raised.value.hint == "to read such files: pip install 'hermes-cli[documents]'"


@pytest.mark.parametrize(
    ("data", "reason", "hint"),
    [
        (PNG, "picture", "text only"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "picture", "text only"),
        (b"BM\x9a\0\0\0", "picture", "text only"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "picture", "text only"),
        (archive("a.txt"), "archive", "unpack it"),
        (gzip.compress(b"text", mtime=0), "archive", "unpack it"),
        (b"ID3\x03\0", "sound", "transcribe"),
        (b"\0\0\0\x20ftypisom", "video", "transcribe"),
        (b"\x7fELF\2\1\1\0", "program", "convert it"),
        (b"text\0text", "binary data", "convert it"),
        (pdf(""), "PDF without text, only pictures", "convert it"),
        (b"%PDF-1.4\nnothing", "damaged PDF, or encrypted", "convert it"),
        (archive("word/document.xml"), "damaged DOCX", "convert it"),
    ],
)
def test_other_files_are_refused_with_what_they_are(tmp_path: Path, data: bytes, reason: str, hint: str) -> None:
    (tmp_path / "it").write_bytes(data)
    with pytest.raises(NotText) as raised:
        read_text(tmp_path / "it")
    assert (raised.value.reason, hint in raised.value.hint) == (reason, True)
    assert raised.value.message == f"{tmp_path / 'it'} is not a text file: {reason}"


def test_a_folder_leaves_out_what_git_ignores_hidden_files_and_what_is_not_text(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, repo__a="a", repo__build__b="b", repo__sub__c_dot_log="c", repo__sub__d="d", repo___dot_env="secret")
    repo = tmp_path / "repo"
    (repo / ".git").mkdir()
    (repo / ".gitignore").write_text("/build/\n*.log\n")
    (tmp_path / ".gitignore").write_text("a\n")  # of another repository
    (repo / "logo.png").write_bytes(PNG)
    assert names(repo) == ["repo/a", "repo/sub/d"]
    assert capfd.readouterr().err == f"skipped in {repo}: logo.png (picture)\n"
    assert names(repo / "sub") == ["sub/d"]
    (repo / "sub" / ".gitignore").write_text("!c.log\nd\n")
    assert names(repo / "sub") == ["sub/c.log"]
    assert names(repo / "build") == ["build/b"]


def test_a_file_that_is_named_is_read_whatever_git_ignores(tmp_path: Path) -> None:
    tree(tmp_path, a_dot_log="a", sub__b_dot_log="b")
    (tmp_path / ".gitignore").write_text("*.log\n")
    assert names(tmp_path / "a.log", tmp_path / "*.log") == ["a.log", str(tmp_path / "a.log")]
    with pytest.raises(UsageError, match="no text files found"):
        names(tmp_path / "**" / "*.log")
    (tmp_path / ".gitignore").write_text("/a.log\n")
    assert names(tmp_path / "**" / "*.log") == [str(tmp_path / "sub" / "b.log")]


def test_a_pattern_for_any_depth_matches_names_but_no_hidden_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, a_dot_py="a", sub__sub__b_dot_py="b", sub__c_dot_txt="c", sub___dot_git__d_dot_py="d")
    monkeypatch.chdir(tmp_path)
    assert names("**/*.py") == ["a.py", "sub/sub/b.py"]
    assert names("**/**/sub/*.py") == names("sub/sub/**") == names("s*/**/**/b.*") == ["sub/sub/b.py"]
    assert names("sub/**") == ["sub/c.txt", "sub/sub/b.py"]
    assert names("**/.git/*") == ["sub/.git/d.py"]


def test_links_that_lead_back_and_what_is_no_file_do_not_hold_up_a_folder_or_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, loop__a="a")
    for name, target in (("back", "."), ("up", "../loop"), ("pipe", "fifo"), ("null", "/dev/null"), ("dead", "none")):
        (tmp_path / "loop" / name).symlink_to(target)
    os.mkfifo(tmp_path / "loop" / "fifo")
    monkeypatch.chdir(tmp_path)
    for source in ("loop", "loop/**", "**/*", "loop/*"):
        assert names(source) == ["loop/a"]
    assert capfd.readouterr().err.count("dead (not readable)") == 3


def test_what_is_not_there_or_holds_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(PNG)
    for source, problem in (
        ("none", "cannot read"),
        ("n" * 5000, "cannot read"),
        ("*.x", "no text files"),
        ("empty", "no text files"),
    ):
        with pytest.raises(UsageError, match=problem):
            names(tmp_path / source)
    with pytest.raises(UsageError) as raised:
        names(tmp_path / "pictures")
    assert raised.value.hint == "skipped: a.png (picture)"


def test_at_file_reads_a_text_and_two_signs_are_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("from a file\n")
    assert text_or_file(f"@{tmp_path / 'a'}") == "from a file"
    assert text_or_file("@@home") == "@home"
    assert text_or_file("me@home") == "me@home"
    with pytest.raises(UsageError, match="cannot read"):
        text_or_file("@none")


class _Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        bodies = {
            "/page": (b"<title>T</title><p>The code of Mira is 7312.</p><script>x()</script>", "text/html"),
            "/letter.pdf": (pdf("Dear Mira"), "application/pdf"),
            "/picture": (PNG, "image/png"),
            "/data": (PNG, "application/octet-stream"),
            "/empty": (b"<script>x()</script>", "text/html"),
        }
        if self.path not in bodies:
            self.send_error(404)
            return
        body, kind = bodies[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_url_gives_the_text_of_a_page_or_a_document(site: str) -> None:
    page, letter = attachments_at([f"{site}/page", f"{site}/letter.pdf"])
    assert page.wrapped == f'<page url="{site}/page">\nT\nThe code of Mira is 7312.\n</page>'
    assert letter.text == "Dear Mira"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/none", "answers 404"),
        ("/picture", "is not text, but image/png"),
        ("/data", "is not a text file: picture"),
        ("/empty", "has no text"),
    ],
)
def test_a_url_without_text_is_refused(site: str, path: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        attachments_at([site + path])


def test_an_address_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(UsageError, match="cannot be fetched"):
        attachments_at(["http://127.0.0.1:9/"])


def test_a_folder_or_a_pattern_of_too_many_files_is_refused_before_they_are_read(tmp_path: Path) -> None:
    for number in range(5001):
        (tmp_path / f"{number}.txt").touch()
    for source in (tmp_path, tmp_path / "*.txt", tmp_path / "**" / "*.txt"):
        with pytest.raises(UsageError, match="has more than 5,000 files") as raised:
            names(source)
        assert "attach less" in raised.value.hint
    (tmp_path / "0.txt").unlink()
    assert len(names(tmp_path)) == 5000


def test_a_folder_of_too_much_text_is_refused(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.log").write_bytes(b"4 MiB\n" * 699_051)
    with pytest.raises(UsageError, match="has more than 16 MiB of text in 5 files"):
        names(tmp_path)
    assert names(tmp_path / "0.log") == ["0.log"]


def test_a_video_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    with (tmp_path / "film.mp4").open("wb") as film:
        film.write(b"\0\0\0\x20ftypisom")
        film.truncate(100 << 20)
    with pytest.raises(NotText, match="video"):
        read_text(tmp_path / "film.mp4")


def test_what_cannot_be_read_in_a_folder_is_named(unprivileged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("open", "listed", "closed"):
        (unprivileged / name).mkdir()
        (unprivileged / name / f"{name}.txt").write_text(name)
    (unprivileged / "listed").chmod(0o400)
    (unprivileged / "closed").chmod(0)
    (found,) = attachments_at([str(unprivileged)])
    for name in ("listed", "closed"):
        (unprivileged / name).chmod(0o700)
    assert found.text == "open"
    assert capsys.readouterr().err.endswith("closed (not readable), listed.txt (not readable)\n")
