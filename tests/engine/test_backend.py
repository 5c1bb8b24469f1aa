"""The local backend: the contract of every backend, and guarantees of a model in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli.chat.events import Finished, PromptProgress, TextDelta
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.local import LoadSettings, LocalBackend, open_backend
from hermes_cli.errors import ContextOverflow, EngineError, LoadCancelled, UsageError
from tests.backend_contract import LONG, QUESTION, BackendContract, OpenNew
from tests.engine.answers import GREEDY, Answer, answer, assistant, user
from tests.gguf_copy import changed_copy

CONTEXT = 3072


@pytest.fixture(scope="module")
def endless(endless_path: Path) -> Iterator[LocalBackend]:
    """A backend whose answers end only at the end of the context."""
    with open_backend(endless_path, LoadSettings(context_length=CONTEXT)) as opened:
        yield opened


@pytest.fixture
def open_new(demo_path: Path) -> OpenNew:
    """Opens another backend on the demo model."""
    return lambda: open_backend(demo_path, LoadSettings(context_length=512))


class TestLocalBackend(BackendContract):
    """The contract on the demo model."""


def check_ledger(backend: LocalBackend) -> int:
    """How many tokens the cache holds; the ledger says the same."""
    position = backend.cache.context.position()
    assert len(backend.cache.ledger) == position
    return position


def test_progress_reaches_the_whole_prompt_before_the_first_text(endless: LocalBackend) -> None:
    events = answer(endless, f"Progress. {LONG}", max_tokens=8).events
    progress = [event for event in events if isinstance(event, PromptProgress)]
    assert len(progress) > 2
    assert progress[-1].read_tokens == progress[-1].total_tokens


def test_another_seed_gets_another_answer(endless: LocalBackend) -> None:
    """Forty tokens at a temperature where all are about equally likely."""
    answers = {
        answer(endless, QUESTION, sampling=Sampling(temperature=5, top_k=0, seed=seed), max_tokens=40).text
        for seed in (7, 8)
    }
    assert len(answers) == 2


def test_a_shorter_limit_gives_the_beginning_of_the_longer_answer(endless: LocalBackend) -> None:
    assert answer(endless, QUESTION, max_tokens=20).text.startswith(answer(endless, QUESTION, max_tokens=9).text)


def test_what_the_cache_holds_is_not_processed_again(backend: LocalBackend) -> None:
    first = answer(backend, "Usage is counted.")
    second = answer(backend, (user("Usage is counted."), assistant(first.text), user(QUESTION))).finished.usage
    assert first.finished.usage.prompt_tokens <= second.cached_tokens < second.prompt_tokens


def test_fully_cached_prompt_processes_only_its_last_token(backend: LocalBackend) -> None:
    answer(backend, QUESTION)
    usage = answer(backend, QUESTION).finished.usage
    assert usage.cached_tokens == usage.prompt_tokens - 1


def test_the_info_has_the_context_length_asked_for(backend: LocalBackend) -> None:
    assert backend.info.context_length == 2048
    assert "llama" in backend.info.description
    assert backend.info.load_s > 0


def test_a_cancel_leaves_a_cache_that_matches_its_ledger(endless: LocalBackend) -> None:
    for kind in (PromptProgress, TextDelta):
        cancel = CancelToken()
        for event in endless.generate(GenerationRequest((user(f"{kind.__name__} {LONG}"),), GREEDY), cancel):
            if isinstance(event, kind):
                cancel.cancel("interrupt")
        assert check_ledger(endless) < CONTEXT


def test_closing_the_generator_leaves_a_cache_that_matches_its_ledger(endless: LocalBackend) -> None:
    events = endless.generate(GenerationRequest((user("Never stop."),), GREEDY), CancelToken())
    next(event for event in events if isinstance(event, TextDelta))
    events.close()
    assert check_ledger(endless) < CONTEXT // 2


@pytest.mark.parametrize("context_length", [64, 300])
def test_a_tiny_context_is_filled_to_its_very_end(endless_path: Path, context_length: int) -> None:
    """llama.cpp itself rounds the context length up to a multiple of 256."""
    with open_backend(endless_path, LoadSettings(context_length=context_length)) as opened:
        assert opened.info.context_length == context_length
        for _ in range(2):
            finished = answer(opened, "Hi", max_tokens=None).finished
            assert finished.reason == "length"
            assert finished.usage.prompt_tokens + finished.usage.completion_tokens == context_length
            check_ledger(opened)


def test_a_prompt_that_leaves_room_for_one_token_gets_one(endless_path: Path) -> None:
    with open_backend(endless_path, LoadSettings(context_length=256)) as opened:
        text = "1"
        while opened.count_tokens((user(text),)) < 255:
            text += "1"
        assert opened.count_tokens((user(text),)) == 255
        finished = answer(opened, text, max_tokens=None).finished
        assert (finished.reason, finished.usage.completion_tokens) == ("length", 1)
        with pytest.raises(ContextOverflow):
            answer(opened, text + "1")


def test_a_quantised_cache_answers_too(demo_path: Path, backend: LocalBackend) -> None:
    with open_backend(demo_path, LoadSettings(context_length=512, kv_type="q8_0", flash_attention=None)) as opened:
        assert answer(opened, QUESTION).text == answer(backend, QUESTION).text


def test_a_closed_backend_counts_no_tokens(demo_path: Path) -> None:
    opened = open_backend(demo_path, LoadSettings(context_length=128))
    opened.close()
    for method in (opened.count_tokens, opened.prompt_text, opened.control_text):
        with pytest.raises(EngineError, match="closed"):
            method((user(QUESTION),))


def test_closing_during_an_answer_cancels_it(endless_path: Path) -> None:
    opened = open_backend(endless_path, LoadSettings(context_length=CONTEXT))
    events = opened.generate(GenerationRequest((user(QUESTION),), GREEDY), CancelToken())
    next(event for event in events if isinstance(event, TextDelta))
    opened.close()
    assert Answer(list(events)).finished.reason == "cancelled"


def test_loading_reports_its_progress_up_to_the_end(demo_path: Path) -> None:
    reported: list[float] = []
    open_backend(demo_path, LoadSettings(context_length=128), on_progress=reported.append).close()
    assert reported == sorted(reported) and reported[-1] == 1


def test_loading_can_be_cancelled(demo_path: Path) -> None:
    cancel = CancelToken()
    with pytest.raises(LoadCancelled):
        open_backend(demo_path, cancel=cancel, on_progress=lambda _: cancel.cancel("while loading"))


def test_a_prompt_far_too_long_is_refused_before_it_is_tokenised(backend: LocalBackend) -> None:
    with pytest.raises(ContextOverflow, match="characters"):
        next(backend.generate(GenerationRequest((user("word " * 1_000_000),)), CancelToken()))


def test_the_overflow_error_names_the_context_length(endless: LocalBackend) -> None:
    with pytest.raises(ContextOverflow, match=f"the context {CONTEXT:,}"):
        answer(endless, LONG * 3)


def test_a_template_that_writes_nothing_is_an_error(demo_path: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.jinja"
    nothing.write_text("")
    silent = changed_copy(demo_path, tmp_path / "silent.gguf", metadata={"tokenizer.ggml.add_bos_token": False})
    with (
        open_backend(silent, LoadSettings(template=str(nothing))) as opened,
        pytest.raises(UsageError, match="no text"),
    ):
        next(opened.generate(GenerationRequest((user("Hello"),)), CancelToken()))


def test_a_second_request_ends_the_first(endless: LocalBackend) -> None:
    """The first generator was never closed; its events end with Finished."""
    first = endless.generate(GenerationRequest((user(QUESTION),), GREEDY), CancelToken())
    next(event for event in first if isinstance(event, TextDelta))
    assert answer(endless, QUESTION, max_tokens=4).finished.reason == "length"
    rest = list(first)
    assert isinstance(rest[-1], Finished) and rest[-1].reason == "cancelled"
