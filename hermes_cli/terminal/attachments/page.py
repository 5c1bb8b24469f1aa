"""The text of a web page, or of a document behind a URL."""

from hermes_cli.errors import UsageError
from hermes_cli.terminal.attachments.attachment import Attachment
from hermes_cli.terminal.attachments.text_file import LARGEST_BYTES, text_of
from hermes_cli.terminal.console import StatusLine


def page_at(url: str) -> Attachment:
    """The visible text of a page, or the text of a file. Raises UsageError."""
    from hermes_cli.network.page import fetch

    status = StatusLine()
    status.show(f"fetching {url}")
    try:
        document = fetch(url, most_bytes=LARGEST_BYTES)
        text = document.text if document.is_text else text_of(document.content, url)
    except ValueError as problem:
        raise UsageError(str(problem), "check the address, or save the text to a file") from problem
    finally:
        status.erase()
    if not text.strip():
        raise UsageError(f"{url} has no text", "the page may need a browser: save its text to a file")
    return Attachment(url, text, "page")
