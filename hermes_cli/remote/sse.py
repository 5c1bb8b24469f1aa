"""Server-sent events: the `data` of each event of a byte stream."""

from collections.abc import Iterable, Iterator

from hermes_cli.errors import EndpointError

_LONGEST_LINE_BYTES = 16 << 20


def event_data(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of every event, however the stream is cut into chunks.

    Lines end with LF, CRLF or CR. A byte order mark at the start, comments and other fields are skipped; several data
    lines of one event are joined by a newline. Data at the end of a stream counts without its blank line. Raises
    EndpointError for an endless line.
    """
    data: list[str] = []
    for number, line in enumerate(_lines(chunks)):
        if number == 0:
            line = line.removeprefix("\ufeff")
        if not line:
            if data:
                yield "\n".join(data)
                data = []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
    if data:
        yield "\n".join(data)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines as text without their ends; bytes that are not UTF-8 become replacement characters."""
    rest = b""
    after_return = False  # an LF that follows belongs to the CR before it
    for chunk in chunks:
        if after_return and chunk:
            chunk, after_return = chunk.removeprefix(b"\n"), False
        rest += chunk
        *lines, last = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if rest.endswith(b"\r"):
            after_return = True
        yield from (line.decode("utf-8", "replace") for line in lines)
        rest = last
        if len(rest) > _LONGEST_LINE_BYTES:
            raise EndpointError("the server sent an endless line", "check that the endpoint speaks the OpenAI API")
    if rest:
        yield rest.decode("utf-8", "replace")
