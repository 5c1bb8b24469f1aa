"""What a request and its answer are to those who speak to an endpoint, however the server is reached."""

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol


class Answer(Protocol):
    """A response whose body is still to be read; names of headers in small letters find any spelling."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it arrives. Raises NetworkProblem."""
        ...

    def close(self) -> None:
        """Free the connection."""
        ...


class Connector(Protocol):
    """Sends requests to one server."""

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        connect_s: float,
        read_s: float | None,
        on_connect: Callable[[socket.socket], None],
    ) -> Answer:
        """The answer, its body unread; `on_connect` is called with the connection before. Raises NetworkProblem."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def joined_blocks(blocks: Iterable[bytes], most_bytes: int) -> bytes:
    """The blocks in one piece; those after the first `most_bytes` are not read."""
    found, size = [], 0
    for block in blocks:
        found.append(block)
        size += len(block)
        if size > most_bytes:
            break
    return b"".join(found)
