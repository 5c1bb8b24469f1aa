"""The real `hermes serve` as a child process, on the demo model and a free port."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_LINE = re.compile(r"serving \S+ on (\S+) ")


@dataclass
class Server:
    """A running server."""

    url: str
    process: subprocess.Popen[str]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def serving(*arguments: str, model: str = "demo", **environment: str) -> Iterator[Server]:
    """The server with these arguments; it ends with the block, and must not have written anything else to stderr."""
    port = () if "--uds" in arguments or "--port" in arguments else ("--port", "0")
    command = [sys.executable, "-m", "hermes_cli", "serve", "-m", model, *port, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | environment) as process:
        assert process.stderr
        line = process.stderr.readline()
        found = _LINE.match(line)
        assert found, line + process.stderr.read()
        try:
            yield Server(found[1].replace("localhost", "127.0.0.1"), process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            rest = process.stderr.read()
        unexpected = re.sub(r"requests need the key in .*\n", "", rest)
        assert unexpected == "", unexpected
