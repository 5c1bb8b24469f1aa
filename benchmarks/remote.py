"""Compares an endpoint with the local model (the same text) and with a plain client (the cost of reading).

    python -m benchmarks.remote [--prompts 100] [--rounds 9] [--events 4000]

Needs the package xllamacpp, whose llama-server answers with the demo model.
"""

import argparse
import http.server
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import httpx2

from hermes_cli import paths
from hermes_cli.chat.events import TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.load_options import LoadSettings
from hermes_cli.engine.local import open_backend
from hermes_cli.remote.address import parse_address
from hermes_cli.remote.backend import EndpointOptions, RemoteBackend, open_remote
from tests.remote.llama_server import llama_server

QUESTIONS = (
    "What is {0} plus {1}?",
    "Write a line about the number {0}.",
    "Who are you, number {0}?",
    "Is {0} larger than {1}?",
    "Repeat after me: fox {0} dog {1}.",
)


def prompts(count: int) -> list[str]:
    """Different short questions."""
    return [QUESTIONS[number % len(QUESTIONS)].format(number, number * 7 % 31) for number in range(count)]


def answer(backend: object, text: str) -> str:
    """The greedy text."""
    request = GenerationRequest((Message("user", text),), Sampling(temperature=0, repeat_penalty=1), 48)
    events = backend.generate(request, CancelToken())  # type: ignore[attr-defined]
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def same_texts(url: str, count: int) -> int:
    """How many greedy answers of llama-server equal those of the local backend."""
    with (
        closing(open_remote(EndpointOptions(parse_address(url)))) as remote,
        closing(open_backend(paths.DEMO_MODEL, LoadSettings(context_length=2048))) as local,
    ):
        return sum(answer(remote, text) == answer(local, text) != "" for text in prompts(count))


@contextmanager
def replaying(events: int) -> Iterator[str]:
    """The URL of a server that streams `events` tokens as fast as they are read."""
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    frames = [
        json.dumps(frame | {"choices": [{"index": 0, "delta": {"content": f" w{n % 97}"}, "finish_reason": None}]})
        for n in range(events)
    ]
    last = json.dumps(frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    parts = [f"data: {one}\n\n".encode() for one in (*frames, last, "[DONE]")]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send("application/json", [b'{"data": [{"id": "m"}]}'])

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send("text/event-stream", parts)

        def _send(self, kind: str, chunks: list[bytes]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(chunk)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def read_bare(url: str) -> str:
    """The text as a plain httpx2 client reads it, line by line."""
    pieces = []
    with (
        httpx2.Client(timeout=None, trust_env=False) as client,
        client.stream("POST", f"{url}/v1/chat/completions", json={"stream": True}) as response,
    ):
        for line in response.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                pieces.append(json.loads(line[6:])["choices"][0]["delta"].get("content", ""))
    return "".join(pieces)


def overhead(events: int, rounds: int) -> tuple[float, float, float]:
    """Microseconds a token: of the bare client and of ours, and the median of the ratios of each round."""
    command = [sys.executable, "-m", "benchmarks.remote", "--replay", str(events)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        try:
            with closing(open_remote(EndpointOptions(parse_address(url), context_length=8192))) as backend:
                pairs = [(timed(lambda: read_bare(url)), timed(lambda: answer_of(backend))) for _ in range(rounds + 1)]
        finally:
            server.kill()
    bare, ours = ([pair[place] / events * 1e6 for pair in pairs[1:]] for place in (0, 1))
    return statistics.median(bare), statistics.median(ours), statistics.median(b / a for a, b in pairs[1:])


def answer_of(backend: RemoteBackend) -> str:
    """The whole text as our backend reads it."""
    events = backend.generate(GenerationRequest((Message("user", "Hi"),)), CancelToken())
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def timed(read: Callable[[], str]) -> float:
    """Seconds of processor time of this process."""
    started = time.process_time()
    read()
    return time.process_time() - started


def start_up(url: str, rounds: int) -> float:
    """`hermes ask` on a server that runs, in multiples of `python -c pass`: the median of the pairs."""
    ask = [sys.executable, "-P", "-m", "hermes_cli", "ask", "--no-save", "--endpoint", url, "-t0", "-n8", "Hello"]
    ratios = []
    for _ in range(rounds + 1):
        times = []
        for command in (ask, [sys.executable, "-c", "pass"]):
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times.append(time.perf_counter() - started)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios[1:])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--events", type=int, default=4000)
    parser.add_argument("--replay", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.replay:
        with replaying(given.replay) as url:
            print(url, flush=True)
            threading.Event().wait()
    bare, ours, ratio = overhead(given.events, given.rounds)
    print(f"reading: bare {bare:.1f} us a token, ours {ours:.1f} us, ratio {ratio:.2f}")
    with llama_server(paths.DEMO_MODEL) as url:
        print(f"same greedy text: {same_texts(url, given.prompts)} of {given.prompts}")
        print(f"hermes ask on llama-server: {start_up(url, given.rounds):.1f} times python -c pass")


if __name__ == "__main__":
    main()
