"""An MCP server as a child process: JSON-RPC lines over its stdin and stdout, its stderr in a log of limited size."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import psutil
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from hermes_cli.errors import shortened
from hermes_cli.tools.child.process import how_it_ended

_LONGEST_LINE = 16_000_000  # bytes
_LARGEST_LOG = 1_000_000  # bytes
_KEPT_BYTES = 4000
_LONGEST_REASON = 300
_GRACE_S = 1.0
_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36  # of prctl
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerProcess:
    """A server's command, environment and log; `ended` says why its process can no longer answer."""

    def __init__(self, command: Sequence[str], variables: dict[str, str], log: Path) -> None:
        self._command, self._variables, self._log = command, variables, log
        self._logged = 0
        self._last_output = b""
        self.ended = ""

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[TransportStreams]:
        """Start the process for a session; it and all it started are gone afterwards. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._variables,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            process_group=0,
            preexec_fn=_die_with_parent if _libc else None,
        )
        received_in, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        sent, sent_out = anyio.create_memory_object_stream[SessionMessage](0)
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._log, "wb", opener=_private) as log:

            def write_log(data: bytes) -> None:
                self._last_output = (self._last_output + data)[-_KEPT_BYTES:]
                log.write(data[: max(0, _LARGEST_LOG - self._logged)])
                log.flush()
                self._logged += len(data)

            tasks = [
                asyncio.create_task(_copy(process.stderr, write_log)),
                asyncio.create_task(self._receive(process, received_in, write_log)),
                asyncio.create_task(_send(process, sent_out)),
            ]
            try:
                yield received, sent
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(process)
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
                    for stream in (received_in, received, sent, sent_out):
                        stream.close()

    async def _receive(
        self,
        process: asyncio.subprocess.Process,
        received: MemoryObjectSendStream[SessionMessage | Exception],
        write_log: Callable[[bytes], None],
    ) -> None:
        """Pass messages on until stdout ends; other lines go to the log."""
        assert process.stdout
        problem = ""
        try:
            while line := await process.stdout.readline():
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    write_log(b"not a message: " + line[:1000] + b"\n")
                    continue
                await received.send(SessionMessage(message))
        except ValueError:
            problem = f"sent a line longer than {_LONGEST_LINE:,} bytes"
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            problem = "closed its connection"
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.2)
        await asyncio.sleep(0)  # the last line on stderr may just be arriving
        code = process.returncode
        how = problem or ("closed its stdout" if code is None else how_it_ended(code))
        reason = _reason(self._last_output.decode("utf-8", "replace"))
        self.ended = how + (f": {shortened(reason, _LONGEST_REASON)}" if reason else "")
        received.close()


def _reason(output: str) -> str:
    """The line that says best why a program ended: the last that names an error, else the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _die_with_parent() -> None:
    """Between fork and exec: the kernel ends the server with the process that hosts its client."""
    assert _libc
    _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of what servers leave behind in the background, so that `descendants` finds it."""
    if _libc:
        _libc.prctl(_CHILD_SUBREAPER, 1)


async def _copy(stream: asyncio.StreamReader | None, write: Callable[[bytes], None]) -> None:
    assert stream
    while data := await stream.read(1 << 16):
        write(data)


async def _send(process: asyncio.subprocess.Process, sent: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin
    with suppress(OSError, anyio.ClosedResourceError, anyio.EndOfStream):
        async for message in sent:
            line = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(line.encode() + b"\n")
            await process.stdin.drain()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the server's stdin, as the protocol has it; what is left after a moment is killed, children included."""
    assert process.stdin
    children = descendants(process.pid)
    process.stdin.close()
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _GRACE_S)
    kill(children)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def descendants(pid: int) -> list[psutil.Process]:
    """The processes that the process started, directly or not, with those of them."""
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def kill(processes: list[psutil.Process]) -> None:
    """Kill these processes; psutil checks that an id still belongs to the same process."""
    for one in processes:
        with suppress(psutil.Error):
            one.kill()
