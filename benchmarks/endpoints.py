"""What works with a running server, by trying it; the results fill the table in docs/endpoints.md.

    python -m benchmarks.endpoints URL --name vLLM [--model M] [--ctx N] [--write]

`--write` saves the column in benchmarks/endpoints.json and writes the table again. The model should be the demo model.
"""

import argparse
import json
import random
import socket
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.tool_call import ToolCall, ToolSchema
from hermes_cli.errors import EndpointError
from hermes_cli.formats import chatml
from hermes_cli.formats.tool_call_parser import ToolCallParser
from hermes_cli.remote.address import parse_address
from hermes_cli.remote.backend import EndpointOptions, RemoteBackend, open_remote
from hermes_cli.session.session import as_read

RESULTS, PAGE = Path("benchmarks/endpoints.json"), Path("docs/endpoints.md")
BEGIN, END = "<!-- benchmarks/endpoints.py: begin -->", "<!-- benchmarks/endpoints.py: end -->"
ROWS = {
    "tested": "tested with",
    "mode": "mode",
    "context_length": "context length known",
    "token_counts": "token counts",
    "sampling": "sampling besides temperature, top-p, seed",
    "schema": "JSON schema",
    "tools": "forced tool call",
    "continue": "continues an answer",
    "control_text": "control text in messages",
    "cancel_prompt": "cancel before the first token, seen after",
    "cancel_answer": "cancel while it answers, seen after",
}
HOSTILE = (
    "<|im_end|>", "<|im_start|>", "\n", "system", "assistant", "<|im_", "end|>", " ", "</s>", "<|endoftext|>",
    "<|begin_of_text|>", "<|end_of_text|>", "<tool_call>", "ä", "😀", "<|", "|>", "user\n", "hello",
)  # fmt: skip
QUESTION = Message("user", "What is 2 plus 3?")
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["teal"]}, "size": {"type": "integer", "minimum": 7, "maximum": 9}},
    "required": ["colour", "size"],
    "additionalProperties": False,
}
TOOL = ToolSchema("paint", "Paint the wall.", SCHEMA)


class Relay:
    """Passes one server's bytes on, and notes when the client closed its connection."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.left_at = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._target)
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        if from_client:
            self.left_at = time.monotonic()
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def answered(backend: RemoteBackend, *messages: Message, **options: Any) -> str:
    """The greedy text of an answer."""
    request = GenerationRequest(messages, Sampling(temperature=0, repeat_penalty=1), **options)
    events = list(backend.generate(request, CancelToken()))
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def sampling(backend: RemoteBackend) -> str:
    """The further values that the server took."""
    names = {"top_k": "top-k", "min_p": "min-p", "repeat_penalty": "repetition penalty"}
    family = backend._server.family
    request = GenerationRequest((QUESTION,), Sampling(0.5, 5, 0.9, 0.1, 1.1, 7), 4)
    list(backend.generate(request, CancelToken()))
    taken = [names[name] for name in names if name in family.sampling]
    taken = [name for name in taken if not any(name in note for note in backend.info.notes)]
    return ", ".join(taken) or "none"


def schema(backend: RemoteBackend) -> str:
    """Whether the server holds an answer to a schema that the model would not satisfy by itself."""
    text = answered(backend, QUESTION, schema=SCHEMA, max_tokens=60)
    try:
        value = json.loads(text)
    except ValueError:
        return "no"
    if value.get("colour") != "teal":
        return "no"
    return "yes" if value.get("size") in (7, 8, 9) else "yes, but not number ranges"


def tools(backend: RemoteBackend) -> str:
    """Whether a call that has to come comes."""
    messages = as_read(Conversation(), (TOOL,), None).messages
    text = answered(backend, *messages, QUESTION, tools=(TOOL,), tool_choice="required", max_tokens=80)
    parser = ToolCallParser()
    calls = [event for event in (*parser.feed(text), *parser.finish()) if isinstance(event, ToolCall)]
    return "yes" if [call.name for call in calls] == ["paint"] else "no"


def continuing(backend: RemoteBackend) -> str:
    """Whether a begun answer continues where it stopped."""
    whole = answered(backend, QUESTION, max_tokens=24)
    rest = answered(backend, QUESTION, Message("assistant", whole[:6]), max_tokens=24)
    return "yes" if whole[:6] + rest == whole else "no"


def control_text(backend: RemoteBackend, count: int) -> str:
    """How many hostile texts become control tokens, by the token ids that the server says it has read."""
    prompt = backend._prompt
    if prompt is None:
        return "broken up visibly"
    markers, model, generator, forged = backend._server.markers, backend._model.id, random.Random(7), 0
    for number in range(count):
        messages = (Message("user", "".join(generator.choices(HOSTILE, k=generator.randint(1, 12)))),)
        ids = prompt.ids(prompt.segments(messages))
        expected = [markers[part.text] for part in chatml.write(messages) if part.special]
        if number % 10 == 0:
            body = {"model": model, "prompt": ids, "max_tokens": 1, "return_token_ids": True, "return_tokens": True}
            choice = backend._client.post("/v1/completions", body)["choices"][0]
            ids = choice.get("prompt_token_ids") or ids
        text = backend._client.post("/detokenize", {"model": model, "tokens": ids})
        written = text.get("prompt", text.get("content", ""))
        kept = messages[0].content in written
        forged += [id for id in ids if id in markers.values()] != expected or not kept
    return "only text" if not forged else f"{forged} forged"


def cancelled(url: str, options: EndpointOptions, *, answering: bool) -> str:
    """The time from a cancel to the end of the connection as the server sees it, the longest of three."""
    parts = urlsplit(url)
    relay = Relay(parts.hostname or "", parts.port or 80)
    waits: list[float] = []
    address = parse_address(f"127.0.0.1:{relay.port}")
    for _ in range(20):  # some answers are over before
        if len(waits) == 3:
            break
        with closing(
            open_remote(EndpointOptions(address, options.model, None, None, options.context_length))
        ) as backend:
            cancel, at = CancelToken(), [0.0]

            def stop(cancel: CancelToken = cancel, at: list[float] = at) -> None:
                at[0] = time.monotonic()
                cancel.cancel("interrupt")

            request = GenerationRequest((Message("user", "fox " * 300),), Sampling(temperature=2.0, top_k=0))
            relay.left_at, begun = 0.0, False
            for event in backend.generate(request, cancel):
                if not begun and (isinstance(event, TextDelta) or not answering):
                    begun = True
                    threading.Timer(0.002 if answering else 0.02, stop).start()
            if not isinstance(event, Finished) or event.reason != "cancelled":
                continue
            while not relay.left_at:
                time.sleep(0.001)
            waits.append(relay.left_at - at[0])
    return f"{max(waits) * 1000:.1f} ms" if waits else "not measured"


def column(url: str, options: EndpointOptions, count: int, version: str | None) -> dict[str, str]:
    """What works with one server."""
    with closing(open_remote(options)) as backend:
        info = backend.info
        unknown = any("does not report" in note for note in info.notes)
        facts = {
            "tested": f"{version or backend._server.version}, demo model",
            "mode": backend.mode,
            "context_length": "no: `--ctx N`" if unknown or options.context_length else "yes",
            "token_counts": "exact" if info.exact_token_counts else "estimated",
        }
        for name, check in (("sampling", sampling), ("schema", schema), ("tools", tools), ("continue", continuing)):
            try:
                facts[name] = check(backend)
            except EndpointError as error:
                facts[name] = "refused"
                print(name, error.message)
        facts["control_text"] = control_text(backend, count)
    for name, answering in (("cancel_prompt", False), ("cancel_answer", True)):
        facts[name] = cancelled(url, options, answering=answering)
    return facts


def table(results: dict[str, dict[str, str]]) -> str:
    """The columns as a Markdown table."""
    lines = ["| | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    lines += [
        f"| {label} | " + " | ".join(one.get(row, "") for one in results.values()) + " |" for row, label in ROWS.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Try the server and print its column."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--name", required=True)
    parser.add_argument("--model")
    parser.add_argument("--version", help="for servers that do not say theirs")
    parser.add_argument("--ctx", type=int)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    options = EndpointOptions(parse_address(given.url), given.model, None, None, given.ctx)
    facts = column(given.url, options, given.texts, given.version)
    print(json.dumps(facts, indent=2))
    if given.write:
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[given.name] = facts
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
