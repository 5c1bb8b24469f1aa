"""How the server starts, shares, unloads and ends; and clients that leave at any moment."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest

from tests.server.running_server import Server, serving

CLIENTS = int(os.environ.get("HERMES_CLI_TEST_CLIENTS", "80"))
LONG = {"messages": [{"role": "user", "content": "fox " * 400}], "temperature": 5, "top_k": 0, "max_tokens": 3000}
SHORT = {**LONG, "messages": [{"role": "user", "content": "fox"}]}


def metric(server: Server, name: str) -> float:
    lines = httpx2.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def until_free(server: Server) -> None:
    """Wait until no request is processed or waits."""
    deadline = time.monotonic() + 60
    while metric(server, "llamacpp:requests_processing") or metric(server, "llamacpp:requests_deferred"):
        assert time.monotonic() < deadline, "the server still works for clients that left"
        time.sleep(0.1)


REQUESTS = (
    ("/v1/chat/completions", LONG),
    ("/v1/chat/completions", {**LONG, "stream": True}),
    ("/v1/completions", {"prompt": ["fox " * 200] * 4, "max_tokens": 1, "echo": True, "logprobs": 1}),
    ("/v1/completions", {"prompt": "fox " * 100, "max_tokens": 500, "stream": True, "n": 4}),
)


def endless(server: Server) -> dict[str, Any]:
    """A request whose answers run to their limit: the tokens that end one are banned."""
    ends = {"content": "<|im_end|><|end_of_text|>", "parse_special": True}
    ids = httpx2.post(f"{server.url}/tokenize", json=ends, timeout=30).json()["tokens"]
    return {**LONG, "n": 8, "logit_bias": {str(id): -100 for id in ids}}


def leave_after(server: Server, delay_s: float, path: str, fields: dict[str, Any]) -> None:
    """Ask for a long answer, and close the connection after a while; the answer may be an error, as in a full queue."""
    address, body = urlsplit(server.url), json.dumps(fields)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        time.sleep(delay_s)


def crowd(server: Server, generator: random.Random, clients: int, at_once: int) -> None:
    """Clients that leave at random moments, several at once; then wait until nothing runs."""
    with ThreadPoolExecutor(at_once) as threads:
        leaving = [
            threads.submit(leave_after, server, generator.uniform(0, 0.5), *generator.choice(REQUESTS))
            for _ in range(clients)
        ]
        for one in leaving:
            one.result()
    until_free(server)


def test_clients_that_leave_leave_nothing_running() -> None:
    generator = random.Random(3)
    with serving() as server:
        process = psutil.Process(server.process.pid)
        crowd(server, generator, 40, 12)  # everything is imported and allocated once
        threads, memory = process.num_threads(), process.memory_info().rss
        crowd(server, generator, CLIENTS, 24)
        connections = [one for one in process.net_connections("inet") if one.status == "ESTABLISHED"]
        assert len(connections) <= 1  # that of the last request for the metrics
        assert process.num_threads() <= threads + 4  # the number of threads adapts to the load
        assert process.memory_info().rss - memory < 64 << 20
        before = sum(process.cpu_times()[:2])
        time.sleep(1)
        assert sum(process.cpu_times()[:2]) - before < 0.5
        body = {"messages": [{"role": "user", "content": "What is 2 plus 3?"}], "temperature": 0}
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json()
        assert answer["choices"][0]["message"]["content"] == "2 plus 3 is 5."


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_it_cleanly(number: int, status: int) -> None:
    with serving() as server:
        assert server.stop(number) == status


def test_a_signal_lets_a_short_answer_finish() -> None:
    with (
        serving() as server,
        httpx2.stream(
            "POST", f"{server.url}/v1/chat/completions", json={**SHORT, "max_tokens": 20, "stream": True}, timeout=60
        ) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        assert [line for line in lines if line][-1] == "data: [DONE]"


def test_a_signal_ends_long_answers_with_an_error() -> None:
    url = "/v1/chat/completions"
    with (
        serving() as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        with client.stream("POST", url, json={**endless(server), "stream": True}) as response:
            lines = response.iter_lines()
            next(lines)
            waiting = threads.submit(client.post, url, json=LONG)
            while not metric(server, "llamacpp:requests_deferred"):
                time.sleep(0.05)
            server.process.send_signal(signal.SIGTERM)
            last = [line for line in lines if line][-1]
        assert (
            "shutting down" in last and json.loads(last.removeprefix("data: "))["error"]["type"] == "unavailable_error"
        )
        assert waiting.result().status_code == 503


def test_the_tokenizer_and_the_settings_are_read_beside_a_generation() -> None:
    with serving() as server, httpx2.Client(base_url=server.url, timeout=60) as client:
        with client.stream("POST", "/v1/chat/completions", json={**endless(server), "stream": True}) as response:
            lines = response.iter_lines()  # dropping it would close the connection
            next(lines)
            for path in ("/props", "/tokenizer_info", "/v1/models"):
                assert client.get(path).status_code == 200
            ids = client.post("/tokenize", json={"content": "Hello"}).json()["tokens"]
            assert client.post("/detokenize", json={"tokens": ids}).json()["content"] == "Hello"
            assert metric(server, "llamacpp:requests_processing") == 1
        until_free(server)


def test_a_crash_is_one_clear_line() -> None:
    command = [sys.executable, "-m", "hermes_cli", "serve", "-m", "demo", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr and process.stderr.readline().startswith("serving demo")
        process.send_signal(signal.SIGSEGV)
        error = process.stderr.read()
        assert process.wait(30) == -signal.SIGSEGV
    assert error == (
        "error: the server was killed, or crashed inside llama.cpp\n"
        "hint: check the memory and the build: hermes doctor\n"
    )


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


@pytest.mark.parametrize("host", ["a" * 70, "a..b", "no such host"])
def test_an_address_that_is_none_is_one_clear_line(host: str) -> None:
    failed = run("-m", "demo", "--port", "0", "--host", host)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"error: cannot listen on {host}: ") and failed.stderr.count("\n") == 2


def test_a_missing_model_is_one_clear_line() -> None:
    failed = run("-m", "not-here-at-all")
    assert failed.returncode == 3 and failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 2


def test_other_addresses_get_a_key() -> None:
    with serving("--host", "0.0.0.0") as server:
        port = urlsplit(server.url).port
        assert httpx2.get(f"http://127.0.0.1:{port}/v1/models", timeout=30).status_code == 401
