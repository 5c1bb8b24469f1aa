"""Resuming a conversation of about 2,000 tokens in a new process: with the saved prompt cache, and without it.

A first process makes the conversation, turn by turn, and closes right after the last answer; then new
processes ask the next question, in turns with the store and without it. Prints the time to the first token, whether the
texts are equal, and what saving, loading and restoring cost by themselves.
Usage: python -m benchmarks.resume [--model GGUF] [--kv-type f16] [--tokens 2000] [--rounds 5]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.rounds import interleaved, table
from hermes_cli import paths
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.cache.kv_store import KvStore
from hermes_cli.engine.load_options import KV_STORE_BYTES, LoadOptions
from hermes_cli.engine.local import LocalBackend, open_backend
from hermes_cli.machine.load_plan import plan_load

GREEDY = Sampling(temperature=0, repeat_penalty=1)
ANSWER_TOKENS = 48
QUESTION = Message("user", "And what did we talk about at the very beginning?")


def main() -> None:
    """Measure and print a table; the same file is each child."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=paths.DEMO_MODEL)
    parser.add_argument("--kv-type", default="f16", choices=("f16", "q8_0"))
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(CHILDREN[given.child](given)), flush=True)
        os._exit(0)  # without closing, which might change the store
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HERMES_CLI_CACHE_DIR"] = folder
        print(run("make"))
        texts: dict[str, list[object]] = {"read": [], "restore": []}

        def first_token_ms(how: str) -> float:
            result = run(how)
            texts[how].append(result["text"])
            return float(str(result["first_token_ms"]))

        measures = {"read": lambda: first_token_ms("read"), "restore": lambda: first_token_ms("restore")}
        print(table(interleaved(measures, given.rounds), "read", "ms to the first token"))
        print("texts equal:", texts["read"] == texts["restore"], "of", len(texts["read"]))
        print(run("parts"))


def run(child: str) -> dict[str, object]:
    """The results of a child process."""
    command = [sys.executable, "-m", "benchmarks.resume", *sys.argv[1:], "--child", child]
    result = subprocess.run(command, capture_output=True, check=True).stdout
    return dict(json.loads(result))


def conversation_file() -> Path:
    """The conversation, among what the children share."""
    return paths.cache_folder() / "conversation.json"


def opened(given: argparse.Namespace, store_bytes: int) -> LocalBackend:
    """The model with room for the conversation."""
    return open_backend(
        given.model,
        *plan_load(
            given.model,
            LoadOptions(context_length=given.tokens + 512, kv_type=given.kv_type, kv_store_bytes=store_bytes),
        ).attempts,
    )


def ask(backend: LocalBackend, messages: Sequence[Message]) -> tuple[str, Finished]:
    """The answer and how it ended."""
    events = list(backend.generate(GenerationRequest(tuple(messages), GREEDY, ANSWER_TOKENS), CancelToken()))
    last = events[-1]
    assert isinstance(last, Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), last


def make(given: argparse.Namespace) -> dict[str, object]:
    """A conversation of as many tokens as wanted, saved by closing."""
    backend = opened(given, KV_STORE_BYTES)
    messages: list[Message] = []
    while (tokens := backend.count_tokens(tuple(messages))) < given.tokens - 150:
        number = len(messages)
        messages.append(
            Message("user", f"Number {number}. " + f"Tell me of the sea, bread and {number} old houses. " * 6)
        )
        messages.append(Message("assistant", ask(backend, messages)[0]))
    conversation_file().write_text(json.dumps([asdict(message) for message in messages]))
    started = time.perf_counter()
    backend.close()
    close_s = time.perf_counter() - started
    kept = [file.stat().st_size for file in paths.kv_folder().glob("*")]
    return {"tokens": tokens, "turns": len(messages) // 2, "closing_ms": round(close_s * 1000), "files_bytes": kept}


def next_answer(given: argparse.Namespace, store_bytes: int) -> dict[str, object]:
    """The answer to one more question."""
    backend = opened(given, store_bytes)
    messages = [Message(**message) for message in json.loads(conversation_file().read_text())]
    text, end = ask(backend, [*messages, QUESTION])
    return {"text": text, "cached": end.usage.cached_tokens, "first_token_ms": end.timings.first_token_s * 1000}


def parts(given: argparse.Namespace) -> dict[str, object]:
    """What the steps of saving and restoring cost, in ms."""
    next_answer_backend = opened(given, 0)
    messages = [Message(**message) for message in json.loads(conversation_file().read_text())]
    ask(next_answer_backend, [*messages, QUESTION])
    context, tokens = next_answer_backend.cache.context, list(next_answer_backend.cache.ledger)
    store = KvStore(paths.cache_folder() / "parts", KV_STORE_BYTES, lambda: bytes(32))
    times = [time.perf_counter()]
    state = context.state()
    times.append(time.perf_counter())
    assert state and store.save("conversation", tokens, state, 1000.0, lambda: True)
    times.append(time.perf_counter())
    found = store.find(tokens, len(tokens))
    times.append(time.perf_counter())
    loaded = store.load(found[0], lambda: True) if found else None
    times.append(time.perf_counter())
    assert loaded == state and context.restore(loaded, len(tokens))
    times.append(time.perf_counter())
    steps = ("take_state", "write", "find", "load", "compare_and_hand_over")
    spans = {step: round((end - start) * 1000, 1) for step, start, end in zip(steps, times, times[1:], strict=False)}
    return {"tokens": len(tokens), "state_bytes": len(state), **spans}


CHILDREN = {
    "make": make,
    "read": lambda given: next_answer(given, 0),
    "restore": lambda given: next_answer(given, KV_STORE_BYTES),
    "parts": parts,
}

if __name__ == "__main__":
    main()
