"""How the server starts, shares, unloads and ends; and clients that leave at any moment."""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.server.running_server import Server, serving

LONG = {"messages": [{"role": "user", "content": "fox " * 400}], "temperature": 5, "top_k": 0, "max_tokens": 3000}


def metric(server: Server, name: str) -> float:
    lines = httpx2.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def until_free(server: Server) -> None:
    """Wait until no request is processed or waits."""
    deadline = time.monotonic() + 60
    while metric(server, "llamacpp:requests_processing") or metric(server, "llamacpp:requests_deferred"):
        assert time.monotonic() < deadline, "the server still works for clients that left"
        time.sleep(0.1)


def leave_after(server: Server, delay_s: float, *, stream: bool) -> None:
    """Ask for a long answer, and close the connection after a while."""
    address, body = urlsplit(server.url), json.dumps({**LONG, "stream": stream})
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
        connection.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        time.sleep(delay_s)


def test_clients_that_leave_leave_nothing_running() -> None:
    generator = random.Random(3)
    with serving() as server:
        threads = []
        for number in range(120):
            delay_s = generator.uniform(0, 0.5)
            threads.append(
                threading.Thread(target=leave_after, args=(server, delay_s), kwargs={"stream": number % 2 == 0})
            )
            threads[-1].start()
            if len(threads) >= 12:
                threads.pop(0).join()
        for thread in threads:
            thread.join()
        until_free(server)
        answer = httpx2.post(
            f"{server.url}/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "What is 2 plus 3?"}], "temperature": 0},
            timeout=60,
        ).json()
        assert answer["choices"][0]["message"]["content"] == "2 plus 3 is 5."


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_it_cleanly(number: int, status: int) -> None:
    with serving() as server:
        assert server.stop(number) == status


def test_a_signal_lets_a_short_answer_finish() -> None:
    with (
        serving() as server,
        httpx2.stream(
            "POST", f"{server.url}/v1/chat/completions", json={**LONG, "max_tokens": 20, "stream": True}, timeout=60
        ) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        assert [line for line in lines if line][-1] == "data: [DONE]"


def test_an_idle_model_is_unloaded_and_loaded_again() -> None:
    with serving("--idle-unload", "1s") as server:
        deadline = time.monotonic() + 30
        while metric(server, "hermes:model_loaded"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        body = {"messages": [{"role": "user", "content": "What is 2 plus 3?"}], "temperature": 0}
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json()
        assert answer["choices"][0]["message"]["content"] == "2 plus 3 is 5."


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hermes_cli", "serve", *arguments], capture_output=True, text=True, timeout=60
    )


def test_a_busy_port_is_one_clear_line() -> None:
    with serving() as server:
        failed = run("-m", "demo", "--port", str(urlsplit(server.url).port))
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: cannot listen on 127.0.0.1 port") and failed.stderr.count("\n") == 2


def test_a_port_out_of_range_is_refused() -> None:
    failed = run("-m", "demo", "--port", "65536")
    assert failed.returncode == 2
    assert failed.stderr == "error: --port cannot be 65536\nhint: give a number from 0 to 65535\n"


def test_a_missing_model_is_one_clear_line() -> None:
    failed = run("-m", "not-here-at-all")
    assert failed.returncode == 3 and failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 2


def test_other_addresses_get_a_key() -> None:
    with serving("--host", "0.0.0.0") as server:
        port = urlsplit(server.url).port
        assert httpx2.get(f"http://127.0.0.1:{port}/v1/models", timeout=30).status_code == 401
