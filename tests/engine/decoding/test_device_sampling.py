"""Sampling on the device that computes the logits: the same tokens as on the CPU where they are certain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli.chat.events import TextDelta
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.load_options import LoadSettings
from hermes_cli.engine.local import LocalBackend, open_backend
from tests.engine.answers import GREEDY, Answer, answer, user

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


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=5, seed=7),
        Sampling(temperature=5, seed=7, top_k=300, min_p=0.01),
        Sampling(temperature=5, seed=7, top_k=0),
        Sampling(temperature=5, seed=7, dry_multiplier=0.8, xtc_probability=0.5, xtc_threshold=0.01),
        Sampling(temperature=5, seed=7, logit_bias="5=2"),
    ],
    ids=str,
)
def test_a_seed_draws_the_same_tokens_on_both(endless_path: Path, sampling: Sampling) -> None:
    texts = []
    for device_sampling in (True, False):
        with open_backend(endless_path, LoadSettings(device_sampling=device_sampling, kv_store_bytes=0)) as opened:
            texts += [answer(opened, QUESTIONS[0], sampling=sampling, max_tokens=60).text for _ in range(2)]
    assert texts[0] == texts[2], "an empty cache"
    assert texts[1] == texts[3], "the prompt in the cache"


def test_constrained_answers_and_log_probabilities_are_unaffected(on_device: LocalBackend) -> None:
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
    tokens_of_text = on_device.model.tokenize("one two three")
    assert (
        sum(each is not None for each in on_device.score(tokens_of_text, 1, CancelToken())) == len(tokens_of_text) - 1
    )


def test_a_stopped_answer_loses_no_text_and_leaves_the_cache_as_the_ledger_says(endless_path: Path) -> None:
    with open_backend(endless_path, LoadSettings(device_sampling=True, kv_store_bytes=0)) as opened:
        answer(opened, QUESTIONS[1], max_tokens=1)  # the same cache for both
        cancel, events = CancelToken(), []
        for event in opened.generate(GenerationRequest((user(QUESTIONS[1]),), GREEDY, 2000), cancel):
            events.append(event)
            if isinstance(event, TextDelta):
                cancel.cancel("interrupt")
        stopped = Answer(events)
        assert stopped.finished.reason == "cancelled"
        assert opened.cache.context.position() == len(opened.cache.ledger)
        written = stopped.finished.usage.completion_tokens
        assert answer(opened, QUESTIONS[1], max_tokens=written).text == stopped.text


def test_logits_are_refused_while_the_device_keeps_them(demo_path: Path) -> None:
    model = Model(demo_path)
    context = Context(model, context_length=256, batch_size=16, threads=1)
    context.select_candidates(4)
    context.decode((1, 2))
    for read in (context.all_logits, lambda: context.logits([0])):
        with pytest.raises(ValueError, match="keeps the logits"):
            read()
    context.check_numbers()
    context.select_candidates(0)
    with pytest.raises(ValueError, match="nothing was decoded"):
        context.all_logits()
    context.decode((3,))
    assert len(context.all_logits()) == model.vocab_size
    context.close()
    model.close()
