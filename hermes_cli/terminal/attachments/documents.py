"""The text of PDF and DOCX documents, read by pypdf and python-docx, which are optional."""

import io
import logging
import zipfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docx.table import Table

INSTALL = "pip install 'hermes-cli[documents]'"
_PDF = b"%PDF-"
_ZIP = b"PK\x03\x04"
_WORD = "word/document.xml"

Reader = Callable[[bytes], str]


def reader_of(data: bytes) -> Reader | None:
    """What reads `data`, if it is a PDF or a DOCX document."""
    if data[:1024].lstrip().startswith(_PDF):
        return _pdf_text
    return _docx_text if _has_part(data, _WORD) else None


def _has_part(data: bytes, name: str) -> bool:
    if not data.startswith(_ZIP):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return name in archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        return False


def _pdf_text(data: bytes) -> str:
    """The text of all pages. Raises ImportError, and ValueError with the reason if there is no text."""
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it writes to stderr about every flaw of a file
    encrypted = False
    try:
        reader = PdfReader(io.BytesIO(data))
        encrypted = reader.is_encrypted and not reader.decrypt("")
        text = "" if encrypted else "\n\n".join(page.extract_text().strip() for page in reader.pages)
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError("damaged PDF, or encrypted") from error
    if not text.strip():
        raise ValueError("encrypted PDF" if encrypted else "PDF without text, only pictures")
    return text


def _docx_text(data: bytes) -> str:
    """Paragraphs and tables in their order. Raises ImportError, and ValueError with the reason."""
    from docx import Document

    try:
        document = Document(io.BytesIO(data))
        text = "\n\n".join(filter(None, (_block_text(block) for block in document.iter_inner_content())))
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError("damaged DOCX") from error
    if not text.strip():
        raise ValueError("DOCX without text")
    return text


def _block_text(block: Any) -> str:
    return "\n".join(_rows(block)) if hasattr(block, "rows") else str(block.text)


def _rows(table: "Table") -> Iterator[str]:
    for row in table.rows:
        yield " | ".join(" ".join(cell.text.split()) for cell in row.cells)
