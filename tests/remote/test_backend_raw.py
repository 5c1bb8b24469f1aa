"""Raw mode against a real llama-server on the demo model: the same prompts and texts as the local backend."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp")

from hermes_cli import paths
from hermes_cli.chat.events import Finished, PromptProgress, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.local import LocalBackend
from hermes_cli.errors import ContextOverflow
from hermes_cli.formats import chatml
from hermes_cli.remote.address import parse_address
from hermes_cli.remote.backend import EndpointOptions, RemoteBackend, open_remote
from tests.remote.llama_server import llama_server

GREEDY = Sampling(temperature=0, repeat_penalty=1.0)
HOSTILE_PARTS = (
    "<|im_end|>", "<|im_start|>", "\n", "system", "assistant", "<|im_", "end|>", " ", "</s>", "<|endoftext|>",
    "<|begin_of_text|>", "<tool_call>", "ä", "😀", "<|", "|>", "user\n", "hello",
)  # fmt: skip


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with llama_server(paths.DEMO_MODEL) as url:
        yield url


@pytest.fixture(scope="module")
def remote(server_url: str) -> Iterator[RemoteBackend]:
    opened = open_remote(EndpointOptions(parse_address(server_url)))
    yield opened
    opened.close()


def said(backend: RemoteBackend | LocalBackend, *messages: Message, **options: object) -> tuple[str, Finished]:
    request = GenerationRequest(messages, GREEDY, **options)  # type: ignore[arg-type]
    events = list(backend.generate(request, CancelToken()))
    end = events[-1]
    assert isinstance(end, Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), end


def user(text: str) -> Message:
    return Message("user", text)


def test_the_probe_chooses_raw_mode(remote: RemoteBackend) -> None:
    assert remote.mode == "raw"
    assert remote.info.context_length == 2048
    assert "llama-server" in remote.info.description


@pytest.mark.parametrize("number", range(12))
def test_greedy_answers_equal_the_local_backend(remote: RemoteBackend, backend: LocalBackend, number: int) -> None:
    question = user(f"What is {number} plus {number * 3}?")
    assert said(remote, question, max_tokens=24)[0] == said(backend, question, max_tokens=24)[0] != ""


def test_prompts_have_the_ids_of_the_local_backend(remote: RemoteBackend, backend: LocalBackend) -> None:
    messages = (Message("system", "You are <|im_end|> odd."), user("Hi <|im_start|> there"))
    assert remote.count_tokens(messages) == backend.count_tokens(messages)
    assert remote.prompt_text(messages) == backend.prompt_text(messages)


def test_an_answer_is_continued_where_it_stopped(remote: RemoteBackend) -> None:
    whole, _ = said(remote, user("What is 2 plus 3?"), max_tokens=24)
    rest, _ = said(remote, user("What is 2 plus 3?"), Message("assistant", whole[:6]), max_tokens=24)
    assert whole[:6] + rest == whole


def test_usage_and_finish_reasons(remote: RemoteBackend) -> None:
    _, end = said(remote, user("What is 2 plus 3?"), max_tokens=3)
    assert (end.reason, end.usage.completion_tokens) == ("length", 3)
    assert end.usage.prompt_tokens == remote.count_tokens((user("What is 2 plus 3?"),))
    assert said(remote, user("What is 2 plus 3?"))[1].reason == "stop"


def test_too_long_prompt_is_refused_by_hermes_not_by_the_server(remote: RemoteBackend) -> None:
    with pytest.raises(ContextOverflow):
        said(remote, user("the quick brown fox " * 600))


def test_a_schema_is_enforced(remote: RemoteBackend) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    text, _ = said(remote, user("Is it so?"), schema=schema, max_tokens=40)
    assert text.replace(" ", "").replace("\n", "") in ('{"ok":true}', '{"ok":false}')


def test_no_text_becomes_a_control_token(remote: RemoteBackend) -> None:
    markers = set(remote._server.markers.values())
    generator = random.Random(7)
    for _ in range(1000):
        hostile = "".join(generator.choices(HOSTILE_PARTS, k=generator.randint(1, 12)))
        prompt = remote._prompt
        assert prompt
        ids = prompt.ids(prompt.segments((user(hostile),)))
        expected = [remote._server.markers[part.text] for part in chatml.write((user(hostile),)) if part.special]
        assert [id for id in ids if id in markers] == expected


@pytest.mark.parametrize("delay_s", [0.0, 0.15])
def test_the_server_is_free_at_once_after_a_cancel(remote: RemoteBackend, delay_s: float) -> None:
    cancel = CancelToken()
    long = GenerationRequest((user("fox " * 400),), Sampling(temperature=5.0, top_k=0))
    for event in remote.generate(long, cancel):
        if isinstance(event, PromptProgress | TextDelta) and not cancel.cancelled:
            threading.Timer(delay_s, lambda: cancel.cancel("interrupt")).start()
    assert isinstance(event, Finished) and event.reason == "cancelled"
    started = time.monotonic()
    assert said(remote, user("What is 2 plus 3?"), max_tokens=4)[0]
    assert time.monotonic() - started < 10


def test_a_model_the_server_does_not_have_is_named(server_url: str, tmp_path: Path) -> None:
    from hermes_cli.errors import ModelNotFound

    with pytest.raises(ModelNotFound, match="has no model other"):
        open_remote(EndpointOptions(parse_address(server_url), model="other"))
