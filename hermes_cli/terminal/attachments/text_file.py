"""Text from files: UTF-8, UTF-16 and UTF-32, PDF and DOCX; everything else is refused with what it is."""

import os
from pathlib import Path

from hermes_cli.errors import UsageError
from hermes_cli.files import encoding_of
from hermes_cli.terminal import console

LARGEST_BYTES = 64 << 20
_BINARY = "binary data"
_CHECKED_BYTES = 1 << 13  # a NUL in the first bytes: not a text
_FILE_SIGN = "@"
_PICTURE, _ARCHIVE, _SOUND, _VIDEO = "picture", "archive", "sound", "video"
_MEDIA = (_PICTURE, _SOUND, _VIDEO)
# Where, and what, the bytes are that mark a kind of file.
_SIGNS = (
    (0, b"\x89PNG", _PICTURE),
    (0, b"\xff\xd8\xff", _PICTURE),
    (0, b"GIF8", _PICTURE),
    (0, b"BM", _PICTURE),
    (0, b"II*\0", _PICTURE),
    (0, b"MM\0*", _PICTURE),
    (0, b"\0\0\1\0", _PICTURE),
    (0, b"PK\x03\x04", _ARCHIVE),
    (0, b"\x1f\x8b", _ARCHIVE),
    (0, b"BZh", _ARCHIVE),
    (0, b"\xfd7zXZ", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (0, b"7z\xbc\xaf", _ARCHIVE),
    (0, b"Rar!", _ARCHIVE),
    (0, b"ID3", _SOUND),
    (0, b"fLaC", _SOUND),
    (0, b"OggS", _SOUND),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
    (0, b"\x7fELF", "program"),
    (0, b"GGUF", "model"),
    (0, b"SQLite format 3", "database"),
    (8, b"WEBP", _PICTURE),
    (8, b"WAVE", _SOUND),
    (4, b"ftyp", _VIDEO),
    (257, b"ustar", _ARCHIVE),
)
_HINTS = {
    _PICTURE: "Hermes 3 reads text only; extract the text of the picture first, e.g. with tesseract",
    _ARCHIVE: "unpack it and attach the folder",
    _SOUND: "Hermes 3 reads text only; transcribe it first",
    _VIDEO: "Hermes 3 reads text only; transcribe it first",
}


class NotText(UsageError):
    """A file that holds no text. `reason` describes it in a few words."""

    def __init__(self, source: str, reason: str, hint: str = "convert it to text (UTF-8) first") -> None:
        super().__init__(f"{source} is not a text file: {reason}", hint)
        self.reason = reason


def text_or_file(value: str) -> str:
    """`value`, or for `@FILE` the text of that file; `@@` stands for a text that begins with `@`. Raises UsageError."""
    if value.startswith(_FILE_SIGN * 2):
        return value[1:]
    return read_text(Path(value[1:])) if value.startswith(_FILE_SIGN) and len(value) > 1 else value


def read_text(path: Path) -> str:
    """The text of a file without its last newline. Raises UsageError, which is a NotText for other kinds of files."""
    try:
        with open(os.path.expanduser(path), "rb") as file:  # noqa: PTH111, PTH123 - pathlib raises for unknown users
            data = file.read(_CHECKED_BYTES)
            if _kind(data) not in _MEDIA:
                data += file.read(LARGEST_BYTES + 1 - len(data))
    except (OSError, ValueError) as error:  # a name with a NUL, or of no bytes
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read {path}: {why}", "check the name of the file") from error
    return text_of(data, str(path))


def text_of(data: bytes, source: str, *, nul_is_text: bool = False) -> str:
    """The text in the bytes of a file. Raises UsageError, which is a NotText for other kinds of files.

    `nul_is_text` accepts NULs in what no other sign marks as a kind of file, as in the output of `find -print0`.
    """
    if len(data) > LARGEST_BYTES:
        return _decoded(data, source)
    from hermes_cli.terminal.attachments import documents

    if reader := documents.reader_of(data):
        try:
            return reader(data)
        except ImportError as error:
            raise NotText(source, "PDF or DOCX", f"to read such files: {documents.INSTALL}") from error
        except ValueError as problem:
            raise NotText(source, str(problem)) from problem
    kind = _kind(data)
    if kind and not (nul_is_text and kind is _BINARY):
        raise NotText(source, kind, _HINTS.get(kind, "convert it to text (UTF-8) first"))
    return _decoded(data, source)


def _decoded(data: bytes, source: str) -> str:
    """`data` as text without byte order mark and last newline, at most LARGEST_BYTES of it. Raises UsageError.

    Bytes that are wrong in its encoding are replaced, with a notice.
    """
    if len(data) > LARGEST_BYTES:
        raise UsageError(f"{source} is larger than {LARGEST_BYTES >> 20} MiB", "attach a part of it")
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode(encoding, "replace")
        console.notice(
            f"{source} is not {encoding.removesuffix('-sig').upper()}; invalid bytes were replaced by U+FFFD"
        )
    return text.removesuffix("\n").removesuffix("\r")


def _kind(data: bytes) -> str:
    """What bytes that are not text are, in a word; empty for text, which may begin like another kind of file."""
    if encoding_of(data) != "utf-8-sig":
        return ""
    binary = b"\0" in data[:_CHECKED_BYTES]
    for place, sign, kind in _SIGNS:
        if data[place : place + len(sign)] == sign and (binary or not _could_be_text(sign)):
            return kind
    return _BINARY if binary else ""


def _could_be_text(sign: bytes) -> bool:
    return sign.isascii() and sign.decode().isprintable()
