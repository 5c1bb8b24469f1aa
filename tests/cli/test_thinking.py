"""Thinking is kept apart from the answer in every output."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli.chat.events import TextDelta, ThinkingDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.local import LoadSettings, open_backend
from tests.cli.conftest import OnScreen
from tests.conftest import Hermes
from tests.gguf_copy import changed_copy
from tests.remote.odd_server import OddServer, Reply, events, odd_server

THOUGHT = "Let me draft:\n```\ndraft\n```"
ANSWER = "Here it is:\n```py\nfinal\n```"
IN_CONTENT = [{"content": f"<think>\n{THOUGHT}\n</thi"}, {"content": f"nk>\n\n{ANSWER}"}]
APART = [{"reasoning_content": THOUGHT}, {"content": ANSWER}]
THINKING_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.reasoning_content %}{{ '<think>\n' + m.reasoning_content + '\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as running:
        yield running


def reply(deltas: list[dict[str, str]]) -> Reply:
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return Reply(events(*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))


@pytest.mark.parametrize("deltas", [IN_CONTENT, APART], ids=["in the content", "apart"])
def test_thinking_is_not_the_answer(hermes: Hermes, server: OddServer, deltas: list[dict[str, str]]) -> None:
    server.replies = [reply(deltas) for _ in range(5)]
    ask = ("ask", "--endpoint", server.url, "Write it.")
    result = hermes(*ask)
    assert result.out.decode() == f"{ANSWER}\n" and "draft" not in result.err
    result = hermes(*ask, "-x")
    assert result.out == b"final\n" and "draft" not in result.err
    result = hermes(*ask, "--json")
    report = json.loads(result.out)
    assert (report["answer"], report["thinking"]) == (ANSWER, THOUGHT) and result.err
    mapped = hermes("ask", "--endpoint", server.url, "--map", stdin="Write it.\n")
    record = json.loads(mapped.out)
    assert (record["answer"], record["thinking"]) == (ANSWER, THOUGHT) and mapped.err is not None
    assert hermes("ask", "--endpoint", server.url, "-c", "Again.").err
    assert [message["content"] for message in server.bodies[-1]["messages"]] == ["Write it.", ANSWER, "Again."]
    exported = json.loads(hermes("sessions", "export", report["session"], "--format", "json").out)
    assert exported["turns"][0]["messages"][1] == {
        "role": "assistant",
        "content": ANSWER,
        "thinking": THOUGHT,
        "finish_reason": "stop",
    }
    page = hermes("sessions", "export", report["session"], "--format", "html").out.decode()
    assert "<details><summary>Thinking</summary>" in page
    text = hermes("sessions", "export", report["session"], "--format", "md").out.decode()
    assert f"### Thinking\n\n{THOUGHT}\n\n### Answer\n\n{ANSWER}" in text


def test_json_without_thinking_has_no_such_key(hermes: Hermes, server: OddServer) -> None:
    server.replies = [reply([{"content": "A <think> tag."}])]
    result = hermes("ask", "--endpoint", server.url, "--json", "Hi")
    report = json.loads(result.out)
    assert report["answer"] == "A <think> tag." and "thinking" not in report and result.err


@pytest.mark.parametrize("thinking", ["show", "hide"])
def test_thinking_is_shown_on_a_terminal_unless_hidden(on_screen: OnScreen, server: OddServer, thinking: str) -> None:
    server.replies = [reply(IN_CONTENT)]
    screen = on_screen("ask", "--endpoint", server.url, "Write it.", HERMES_CLI_THINKING=thinking)
    screen.shows("final")
    assert ("thinking:" in screen.text, "draft" in screen.text) == (thinking == "show",) * 2


def test_a_template_that_opens_the_answer_with_thinking(demo_path: Path, tmp_path: Path) -> None:
    """The demo model never closes it, so all of its answer is thinking; JSON that is asked for is not."""
    metadata: dict[str, str | int | bool] = {"tokenizer.chat_template": THINKING_TEMPLATE}
    path = changed_copy(demo_path, tmp_path / "thinks.gguf", metadata=metadata, without=("tokenizer.chat",))
    question, greedy = Message("user", "What is 2 plus 3?"), Sampling(temperature=0)
    with open_backend(path, LoadSettings(context_length=512)) as backend:
        assert backend.prompt_text((question,)).endswith("assistant\n<think>\n")
        free = GenerationRequest((question,), greedy, max_tokens=20)
        kinds = {type(event) for event in backend.generate(free, CancelToken())}
        assert ThinkingDelta in kinds and TextDelta not in kinds
        held = GenerationRequest((question,), greedy, max_tokens=20, schema={"enum": [5]})
        said = [event.text for event in backend.generate(held, CancelToken()) if isinstance(event, TextDelta)]
        assert "".join(said) == "5"
        begun = Message("assistant", "", thinking="Hm.")
        assert backend.prompt_text((question, begun)).endswith("<think>\nHm.")
        answered = Message("assistant", "It is", thinking="Hm.")
        assert backend.prompt_text((question, answered)).endswith("<think>\nHm.\n</think>\n\nIt is")
        earlier = (question, Message("assistant", "5", thinking="Hm."), question)
        assert "<think>\nHm.\n</think>\n\n5<|im_end|>" in backend.prompt_text(earlier)


def test_chatml_does_not_send_thinking_back(demo_path: Path) -> None:
    question = Message("user", "Hi")
    with open_backend(demo_path, LoadSettings(context_length=512)) as backend:
        text = backend.prompt_text((question, Message("assistant", "Hello.", thinking="Hm."), question))
    assert "Hm." not in text and "Hello." in text
