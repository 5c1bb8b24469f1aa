"""Greedy answers and prompts equal those of transformers: `pytest -m parity`, see docs/evaluation.md."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hermes_cli.chat.message import Message
from hermes_cli.chat.sampling import ALL_TOKENS, Sampling
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.engine.load_options import LoadSettings
from hermes_cli.engine.local import LocalBackend, open_backend
from hermes_cli.formats.function_calling import system_text
from tests.engine.answers import answer

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("transformers")
pytest.importorskip("torch")

from tests.parity.reference import Reference, write_f32  # noqa: E402 (it imports transformers)

_OTHER_MODEL = os.environ.get("HERMES_CLI_TEST_PARITY_MODEL", "")  # such as SmolLM2-135M-Instruct
_TOKENS, _BATCH, _LEAST_EQUAL = 64, 8, 199
_TOPICS = (
    "tea", "Oslo", "the number 7", "a red kite", "rivers", "the moon", "bread", "chess", "a lost key", "winter",
    "glass", "Anna", "copper", "the sea", "a broken clock", "maps", "wolves", "salt", "a long train", "music",
)  # fmt: skip
_QUESTIONS = ("What is {}?", "Write two sentences about {}.", "Repeat after me: {} and {}.")
_SYSTEMS = ("You are a helpful assistant.", "You are Mira, a shy baker.", "Be brief.", "Answer in capital letters.")
_UNICODE = (
    "Ω≈ç√∫",
    "你好，世界",
    "Привет",
    "مرحبا",
    "👩‍👩‍👧 and 🇳🇴",
    "naïve café",
    "ñandú",
    "한국어",
    "Ἀθῆναι",
    "e\u0301",
)
_CODE = (
    "def f(x):\n    return x + 1",
    "SELECT a FROM b;",
    "<p>hi</p>",
    '{"a": [1, 2]}',
    "for (;;) {}",
    "a = b ? c : d",
)
_EDGES = (
    "", " ", "\n\n", "a\r\nb\r\n", "<|im_end|>", "x<|im_start|>user\ny", "q" * 80, "q " * 80,
    "\t\tindented", "...", "1 2 3",
    "?", "[]", "A" * 300, "0" * 40, "<tool_call>", "no\u00a0break", "\u2028", "end ", " start",
)  # fmt: skip
_TOOLS = (
    ToolSchema(
        "get_weather",
        "Get the weather of a city.",
        {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Name."}},
            "required": ["city"],
        },
    ),
)


def conversations() -> list[tuple[Message, ...]]:
    """200 conversations: plain, with a system prompt, of several turns, other scripts, code, and edge cases."""
    said: list[tuple[Message, ...]] = []

    def add(text: str, *before: Message) -> None:
        said.append((*before, Message("user", text)))

    for question in _QUESTIONS:
        for topic in _TOPICS:
            add(question.format(topic, topic))
    for index, topic in enumerate(_TOPICS * 2):
        add(f"Tell me about {topic}.", Message("system", _SYSTEMS[index % 4]))
    for index, topic in enumerate(_TOPICS * 2):
        turns = (Message("user", f"My favourite thing is {topic}."), Message("assistant", f"I like {topic} too."))
        add("What is my favourite thing?" if index < 20 else "Why?", *turns)
    for index in range(20):
        add(f"{('Repeat:', 'What does this mean?')[index // 10]} {_UNICODE[index % 10]}")
        add(f"{('Explain', 'Fix', 'Shorten', 'Run')[index // 6]} this code:\n{_CODE[index % 6]}")
        add(_EDGES[index])
    return said


@dataclass(frozen=True, slots=True)
class Pair:
    """The same weights in hermes and in transformers."""

    backend: LocalBackend
    reference: Reference


@pytest.fixture(scope="module", params=["demo", "other"])
def pair(request: pytest.FixtureRequest, demo_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    if request.param == "other" and not _OTHER_MODEL:
        pytest.skip("HERMES_CLI_TEST_PARITY_MODEL is not set")
    source = demo_path if request.param == "demo" else Path(_OTHER_MODEL)
    path = tmp_path_factory.mktemp("parity") / "f32.gguf"
    write_f32(source, path)
    settings = LoadSettings(context_length=2048, threads=os.cpu_count() or 1, kv_type="f32", kv_store_bytes=0)
    with open_backend(path, settings) as backend:
        yield Pair(backend, Reference(path))


DEFINITIONS = {
    "no penalty": (Sampling(temperature=0, repeat_penalty=1.0), {}),
    "the default penalty": (Sampling(temperature=0), {"answer_only": True}),
    "the penalty of the model card": (
        Sampling(temperature=0, repeat_last_n=ALL_TOKENS, repeat_scope="all"),
        {"repetition_penalty": 1.1},
    ),
}


@pytest.mark.parametrize(("sampling", "options"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_greedy_answers_are_those_of_transformers(pair: Pair, sampling: Sampling, options: dict[str, Any]) -> None:
    backend, asked = pair.backend, conversations()
    assert len(asked) == 200
    prompts = [backend.prompt_tokens(messages) for messages in asked]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    expected: dict[int, str] = {}
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        answers = pair.reference.greedy([prompts[index] for index in batch], _TOKENS, _padding(backend), **options)
        for index, tokens in zip(batch, answers, strict=True):
            expected[index] = b"".join(map(backend.model.piece, tokens)).decode("utf-8", "replace").rstrip("\ufffd")
    different = []
    for index, messages in enumerate(asked):
        text = answer(backend, messages, sampling=sampling, max_tokens=_TOKENS).text.rstrip("\ufffd")
        if text != expected[index]:
            different.append((messages[-1].content, expected[index], text))
    equal = len(asked) - len(different)
    print(f"{backend.info.model_name}: {equal} of {len(asked)} answers equal")  # noqa: T201 (pytest -rP shows it)
    assert equal >= _LEAST_EQUAL, different


def _padding(backend: LocalBackend) -> int:
    """A token that no prompt holds and no answer needs, so that a penalty on it changes nothing."""
    ends = [token for name, token in backend.model.control_tokens.items() if "im_" not in name]
    return next(token for token in ends if token != backend.model.bos)


def test_prompts_have_the_ids_of_the_chat_template(demo_path: Path) -> None:
    tokenizer = Reference(demo_path).tokenizer()
    with open_backend(demo_path) as backend:
        for messages in conversations():
            if "<|" not in messages[-1].content:  # transformers lets a user open a turn of the system
                said = [{"role": message.role, "content": message.content} for message in messages]
                ids = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_dict=False)
                assert backend.prompt_tokens(messages) == ids, messages


def test_the_tools_prompt_has_the_ids_of_the_tool_use_template(demo_path: Path) -> None:
    tokenizer = Reference(demo_path).tokenizer()
    template = (Path(__file__).parents[1] / "formats/reference/hermes3_tool_use.jinja").read_text(encoding="utf-8")
    said = [{"role": "user", "content": "What is the weather in Oslo?"}]
    tools: Any = [{"type": "function", "function": dict(tool.function)} for tool in _TOOLS]
    ids = tokenizer.apply_chat_template(
        said, tools=tools, chat_template=template, add_generation_prompt=True, return_dict=False
    )
    messages = (Message("system", system_text(_TOOLS)), Message("user", said[0]["content"]))
    with open_backend(demo_path) as backend:
        assert backend.prompt_tokens(messages) == ids
