"""A child process of tools and the channel to it: requests go out and answers come back as lines of JSON."""

import json
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hermes_cli.errors import shortened
from hermes_cli.tools.child.process import POLL_S, CallFailed, Limits, how_it_ended, start

_MOST_BYTES = 16_000_000
_KEPT_BYTES = 2000
# -P: a file in the working folder must not be able to take the place of a module.
_START = (sys.executable, "-P", "-c")


class Channel:
    """A running process, a channel to it, and the last of what it printed.

    The process runs `main(channel)` of the module `hermes_cli.tools.child.<module>` in the environment `variables`.
    """

    def __init__(self, module: str, variables: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        descriptor = theirs.fileno()
        command = (*_START, f"from hermes_cli.tools.child.{module} import main; main({descriptor})")
        packages = os.pathsep.join(path for path in sys.path if path)
        self._child = start(command, {**variables, "PYTHONPATH": packages}, channel=descriptor)
        self._process = self._child.process
        theirs.close()
        ours.setblocking(False)
        self._channel = ours
        self._printed = b""
        self.was_asked = False
        assert self._process.stdout
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._selector.register(ours, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def ask(self, request: Mapping[str, Any], limits: Limits) -> Any:
        """What the child answers. Raises CallFailed if it dies, takes too long or is not understood."""
        self.was_asked = True
        out, answer = json.dumps(request).encode() + b"\n", b""
        self._selector.modify(self._channel, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while b"\n" not in answer:
            limits.check()
            dead, before = self._process.poll() is not None, len(answer)
            for key, events in self._selector.select(0 if dead else POLL_S):
                if key.fileobj is not self._channel:
                    self._take_print()
                    continue
                if events & selectors.EVENT_WRITE:
                    out = self._send(out)
                if events & selectors.EVENT_READ:
                    answer += self._receive()
            # A copy of the child may hold the channel open: its end alone proves nothing.
            if dead and len(answer) == before:
                raise CallFailed(self._last_words())
            if len(answer) > _MOST_BYTES:
                raise CallFailed("the tool sent more than its process may send")
        return _parsed(answer.partition(b"\n")[0])

    def close(self) -> None:
        """End the process and all it started."""
        # While it lives it is the parent of all it started, and it lives at least until its channel is closed.
        self._child.end(thorough=self._process.poll() is not None)
        self._selector.close()
        self._channel.close()

    def _send(self, out: bytes) -> bytes:
        """What could not be sent yet."""
        with suppress(BlockingIOError, OSError):
            out = out[self._channel.send(out) :]
        if not out:
            self._selector.modify(self._channel, selectors.EVENT_READ)
        return out

    def _receive(self) -> bytes:
        try:
            part = self._channel.recv(1 << 16)
        except BlockingIOError:
            return b""
        except OSError:
            part = b""
        if not part:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            raise CallFailed(self._last_words())
        return part

    def _take_print(self) -> None:
        """Keep the end of what the tool printed, so that it never waits for a reader."""
        assert self._process.stdout
        try:
            part = os.read(self._process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part and self._process.stdout in self._selector.get_map():
            self._selector.unregister(self._process.stdout)
        self._printed = (self._printed + part)[-_KEPT_BYTES:]

    def _last_words(self) -> str:
        self._take_print()
        code = self._process.poll()
        how = "closed its own connection" if code is None else how_it_ended(code)
        said = self._printed.decode("utf-8", "replace").strip().splitlines()
        return f"the tool's process {how}" + (f": {shortened(said[-1], 500)}" if said else "")


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
