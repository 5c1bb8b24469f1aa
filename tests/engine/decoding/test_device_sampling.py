"""Sampling on the device that computes the logits: the same tokens as on the CPU where they are certain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.load_options import LoadSettings
from hermes_cli.engine.local import LocalBackend, open_backend
from tests.engine.answers import GREEDY, answer

QUESTIONS = ("What is 2 plus 3?", "Tell me about the sea.")


@pytest.fixture(scope="module")
def on_device(demo_path: Path) -> Iterator[LocalBackend]:
    with open_backend(demo_path, LoadSettings(device_sampling=True, kv_store_bytes=0)) as opened:
        yield opened


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0), Sampling(temperature=0, top_k=0)])
def test_greedy_answers_are_those_of_the_cpu(
    on_device: LocalBackend, backend: LocalBackend, question: str, sampling: Sampling
) -> None:
    texts = (answer(one, question, sampling=sampling, max_tokens=80).text for one in (on_device, backend))
    assert len(set(texts)) == 1


def test_a_seed_repeats_its_answer(endless_path: Path) -> None:
    warm = Sampling(temperature=5, top_k=0, top_p=0.95, seed=7)
    with open_backend(endless_path, LoadSettings(device_sampling=True, kv_store_bytes=0)) as opened:
        answer(opened, QUESTIONS[0], max_tokens=1)  # the same cache for both
        first, again = (answer(opened, QUESTIONS[0], sampling=warm, max_tokens=60).text for _ in range(2))
    assert first == again


def test_constrained_answers_and_log_probabilities_are_unaffected(on_device: LocalBackend) -> None:
    from hermes_cli.chat.events import TextDelta
    from hermes_cli.chat.request import CancelToken, GenerationRequest
    from tests.engine.answers import user

    schema = {"enum": ["yes", "no"]}
    asked = GenerationRequest((user("Well?"),), GREEDY, 20, schema=schema)
    text = "".join(event.text for event in on_device.generate(asked, CancelToken()) if isinstance(event, TextDelta))
    assert text in ('"yes"', '"no"')
    scored = GenerationRequest((user(QUESTIONS[0]),), GREEDY, 5, top_logprobs=1)
    tokens = [
        token
        for event in on_device.generate(scored, CancelToken())
        if isinstance(event, TextDelta)
        for token in event.tokens
    ]
    assert len(tokens) == 5
    assert answer(on_device, QUESTIONS[0]).text == "2 plus 3 is 5."


def test_long_answers_are_the_same_after_the_device_takes_over(endless_path: Path) -> None:
    texts = set()
    for device_sampling in (True, False):
        with open_backend(endless_path, LoadSettings(device_sampling=device_sampling, kv_store_bytes=0)) as opened:
            texts.add(answer(opened, QUESTIONS[0], max_tokens=34).text)
    assert len(texts) == 1
