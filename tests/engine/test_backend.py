"""The contract of `Backend`, held by the local backend on the demo model: events, limits, stops and what follows."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hermes_cli.chat.events import Finished, GenerationEvent, PromptProgress, TextDelta
from hermes_cli.chat.request import CancelToken, GenerationRequest, Sampling
from hermes_cli.engine.local import LoadOptions, LocalBackend, open_backend
from hermes_cli.errors import ContextOverflow, EngineError, LoadCancelled, UsageError
from tests.engine.answers import GREEDY, answer, assistant, user
from tests.gguf_copy import changed_copy

QUESTION = "What is 2 plus 3?"
WILD = Sampling(temperature=5, top_k=0)
SENTENCE = "the quick brown fox jumps over the lazy dog "
LONG, TOO_LONG = SENTENCE * 110, SENTENCE * 200
WINDOW = 3072


@pytest.fixture(scope="module")
def endless(endless_path: Path) -> Iterator[LocalBackend]:
    """A backend whose answers end only at the window's end."""
    with open_backend(endless_path, LoadOptions(context_length=WINDOW)) as opened:
        yield opened


@pytest.fixture(scope="module")
def fresh_answer(endless_path: Path) -> str:
    """What a backend that was never asked anything before says to QUESTION."""
    with open_backend(endless_path, LoadOptions(context_length=WINDOW)) as opened:
        return answer(opened, QUESTION, max_tokens=12).text


def held(backend: LocalBackend) -> int:
    """How many tokens the cache holds; the ledger says the same."""
    position = backend.cache.context.position()
    assert len(backend.cache.ledger) == position
    return position


def test_the_end_is_told_once_and_last(backend: LocalBackend) -> None:
    events = answer(backend, QUESTION).events
    assert [type(event) for event in events].count(Finished) == 1
    assert isinstance(events[-1], Finished)


def test_an_answer_that_ends_by_itself_says_stop(backend: LocalBackend) -> None:
    assert answer(backend, QUESTION).finished.reason == "stop"


def test_progress_rises_to_the_whole_prompt_before_the_first_text(endless: LocalBackend) -> None:
    events = answer(endless, LONG + "progress", max_tokens=8).events
    progress = [event for event in events if isinstance(event, PromptProgress)]
    texts = [index for index, event in enumerate(events) if isinstance(event, TextDelta)]
    assert len(progress) > 2
    assert events[: len(progress)] == progress and texts[0] == len(progress)
    read = [event.read_tokens for event in progress]
    assert read == sorted(read)
    assert read[-1] == progress[-1].total_tokens


def test_no_text_event_is_empty(endless: LocalBackend) -> None:
    events = answer(endless, QUESTION, sampling=WILD, max_tokens=200).events
    assert all(event.text for event in events if isinstance(event, TextDelta))


def test_at_temperature_0_the_same_question_gets_the_same_answer(backend: LocalBackend) -> None:
    assert answer(backend, QUESTION).text == answer(backend, QUESTION).text != ""


def test_the_same_seed_gets_the_same_answer_and_another_seed_another(backend: LocalBackend) -> None:
    first, again, other = (
        answer(backend, QUESTION, sampling=Sampling(temperature=5, top_k=0, seed=seed), max_tokens=24).text
        for seed in (7, 7, 8)
    )
    assert first == again != other


def test_a_seed_drawn_at_random_is_told_and_repeats_the_answer(backend: LocalBackend) -> None:
    first = answer(backend, QUESTION, sampling=WILD, max_tokens=24)
    seed = first.finished.seed
    repeated = answer(backend, QUESTION, sampling=Sampling(temperature=5, top_k=0, seed=seed), max_tokens=24)
    assert repeated.text == first.text


def test_random_seeds_differ_from_start_to_start(backend: LocalBackend) -> None:
    assert len({answer(backend, QUESTION, sampling=WILD, max_tokens=1).finished.seed for _ in range(4)}) == 4


@pytest.mark.parametrize("limit", [1, 2, 33])
def test_max_tokens_ends_the_answer_with_length(endless: LocalBackend, limit: int) -> None:
    finished = answer(endless, QUESTION, max_tokens=limit).finished
    assert (finished.reason, finished.usage.completion_tokens) == ("length", limit)


def test_a_shorter_limit_gives_the_beginning_of_the_longer_answer(endless: LocalBackend) -> None:
    assert answer(endless, QUESTION, max_tokens=20).text.startswith(answer(endless, QUESTION, max_tokens=9).text)


def test_a_stop_string_ends_the_answer_before_it(endless: LocalBackend) -> None:
    whole = answer(endless, QUESTION, max_tokens=40).text
    stop = whole[7:10]
    stopped = answer(endless, QUESTION, max_tokens=40, stop=("never said", stop))
    assert stopped.text == whole[: whole.index(stop)]
    assert stopped.finished.reason == "stop"


def test_the_beginning_of_a_stop_string_at_the_very_end_is_not_lost(backend: LocalBackend) -> None:
    whole = answer(backend, QUESTION)
    held_back = answer(backend, QUESTION, stop=(whole.text[-3:] + "never",))
    assert (held_back.text, held_back.finished.reason) == (whole.text, "stop")


def test_usage_counts_the_prompt_the_cache_and_the_answer(backend: LocalBackend) -> None:
    first = answer(backend, "Usage is counted.")
    assert first.finished.usage.prompt_tokens == backend.count_tokens((user("Usage is counted."),))
    second = answer(backend, (user("Usage is counted."), assistant(first.text), user(QUESTION))).finished.usage
    assert first.finished.usage.prompt_tokens <= second.cached_tokens < second.prompt_tokens


def test_of_a_prompt_that_is_all_cached_only_the_last_token_is_processed(backend: LocalBackend) -> None:
    answer(backend, QUESTION)
    usage = answer(backend, QUESTION).finished.usage
    assert usage.cached_tokens == usage.prompt_tokens - 1


def test_timings_come_in_order(backend: LocalBackend) -> None:
    timings = answer(backend, "How long does it take?").finished.timings
    assert 0 < timings.prefill_s <= timings.first_token_s
    assert timings.decode_s >= 0


def test_info_tells_the_names_and_the_window(backend: LocalBackend) -> None:
    assert backend.info.context_length == 2048
    assert "llama" in backend.info.description
    assert backend.info.model_name and backend.info.load_s > 0


def test_a_cancel_before_the_start_gives_no_text(endless: LocalBackend, fresh_answer: str) -> None:
    cancel = CancelToken()
    cancel.cancel("before")
    cancelled = answer(endless, "Never asked.", cancel=cancel)
    assert (cancelled.text, cancelled.finished.reason) == ("", "cancelled")
    held(endless)
    assert answer(endless, QUESTION, max_tokens=12).text == fresh_answer


def test_a_cancel_while_the_prompt_is_read_stops_the_reading(endless: LocalBackend, fresh_answer: str) -> None:
    answer(endless, "Something else first.", max_tokens=1)
    cancel = CancelToken()
    request = GenerationRequest((user(LONG),), GREEDY)
    events: list[GenerationEvent] = []
    for event in endless.generate(request, cancel):
        events.append(event)
        cancel.cancel("while reading")
    assert isinstance(events[-1], Finished) and events[-1].reason == "cancelled"
    assert not any(isinstance(event, TextDelta) for event in events)
    assert held(endless) < endless.count_tokens(request.messages)
    assert answer(endless, QUESTION, max_tokens=12).text == fresh_answer


def _from_here(cancel: CancelToken) -> None:
    cancel.cancel("here")


def _from_another_thread(cancel: CancelToken) -> None:
    thread = threading.Thread(target=cancel.cancel, args=("there",))
    thread.start()
    thread.join()


@pytest.mark.parametrize("stop_it", [_from_here, _from_another_thread])
def test_a_cancel_while_it_answers_keeps_the_text_so_far(
    endless: LocalBackend, fresh_answer: str, stop_it: Callable[[CancelToken], None]
) -> None:
    cancel = CancelToken()
    events: list[GenerationEvent] = []
    for event in endless.generate(GenerationRequest((user(QUESTION),), GREEDY), cancel):
        events.append(event)
        if isinstance(event, TextDelta):
            stop_it(cancel)
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.reason == "cancelled"
    assert 0 < finished.usage.completion_tokens < WINDOW - finished.usage.prompt_tokens
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert said.startswith(fresh_answer) or fresh_answer.startswith(said)
    held(endless)
    assert answer(endless, QUESTION, max_tokens=12).text == fresh_answer


def test_leaving_the_answer_early_stops_the_work(endless: LocalBackend, fresh_answer: str) -> None:
    events = endless.generate(GenerationRequest((user("Go on for ever."),), GREEDY), CancelToken())
    next(event for event in events if isinstance(event, TextDelta))
    events.close()
    assert held(endless) < WINDOW // 2
    assert answer(endless, QUESTION, max_tokens=12).text == fresh_answer


def test_a_cancel_after_the_end_does_not_touch_the_next_answer(endless: LocalBackend, fresh_answer: str) -> None:
    cancel = CancelToken()
    answer(endless, "Short.", max_tokens=2, cancel=cancel)
    cancel.cancel("too late")
    assert answer(endless, QUESTION, max_tokens=12).text == fresh_answer


def test_a_prompt_longer_than_the_window_is_refused_before_any_event(endless: LocalBackend, fresh_answer: str) -> None:
    events = endless.generate(GenerationRequest((user(TOO_LONG),), GREEDY), CancelToken())
    with pytest.raises(ContextOverflow, match=f"the window {WINDOW:,}"):
        next(events)
    assert answer(endless, QUESTION, max_tokens=12).text == fresh_answer


def test_sampling_out_of_range_is_refused_before_any_event(endless: LocalBackend, fresh_answer: str) -> None:
    events = endless.generate(GenerationRequest((user(QUESTION),), Sampling(top_p=2)), CancelToken())
    with pytest.raises(UsageError, match="top-p"):
        next(events)
    assert answer(endless, QUESTION, max_tokens=12).text == fresh_answer


@pytest.mark.parametrize("window", [64, 300])
def test_a_tiny_window_is_filled_to_its_very_end(endless_path: Path, window: int) -> None:
    """llama.cpp itself rounds a window up to a multiple of 256."""
    with open_backend(endless_path, LoadOptions(context_length=window)) as opened:
        assert opened.info.context_length == window
        for _ in range(2):
            finished = answer(opened, "Hi", max_tokens=None).finished
            assert finished.reason == "length"
            assert finished.usage.prompt_tokens + finished.usage.completion_tokens == window
            held(opened)


def test_a_prompt_that_leaves_room_for_one_token_gets_one(endless_path: Path) -> None:
    with open_backend(endless_path, LoadOptions(context_length=256)) as opened:
        text = "1"
        while opened.count_tokens((user(text),)) < 255:
            text += "1"
        assert opened.count_tokens((user(text),)) == 255
        finished = answer(opened, text, max_tokens=None).finished
        assert (finished.reason, finished.usage.completion_tokens) == ("length", 1)
        with pytest.raises(ContextOverflow):
            answer(opened, text + "1")


def test_a_quantised_cache_answers_too(demo_path: Path, backend: LocalBackend) -> None:
    with open_backend(demo_path, LoadOptions(context_length=512, kv_type="q8_0")) as opened:
        assert answer(opened, QUESTION).text == answer(backend, QUESTION).text


def test_closing_twice_is_harmless_and_a_closed_backend_says_so(demo_path: Path) -> None:
    opened = open_backend(demo_path, LoadOptions(context_length=128))
    opened.close()
    opened.close()
    with pytest.raises(EngineError, match="closed"):
        answer(opened, QUESTION)
    with pytest.raises(EngineError, match="closed"):
        opened.count_tokens((user(QUESTION),))


def test_closing_in_the_middle_of_an_answer_ends_it(endless_path: Path) -> None:
    opened = open_backend(endless_path, LoadOptions(context_length=WINDOW))
    events = opened.generate(GenerationRequest((user(QUESTION),), GREEDY), CancelToken())
    next(event for event in events if isinstance(event, TextDelta))
    opened.close()
    rest = list(events)
    assert isinstance(rest[-1], Finished) and rest[-1].reason == "cancelled"


def test_a_load_tells_its_progress_up_to_the_end(demo_path: Path) -> None:
    told: list[float] = []
    open_backend(demo_path, LoadOptions(context_length=128), on_progress=told.append).close()
    assert told == sorted(told) and told[-1] == 1


def test_a_load_can_be_cancelled(demo_path: Path) -> None:
    cancel = CancelToken()
    with pytest.raises(LoadCancelled):
        open_backend(demo_path, cancel=cancel, on_progress=lambda _: cancel.cancel("while loading"))


def test_a_prompt_far_too_long_is_refused_before_it_is_read(backend: LocalBackend) -> None:
    with pytest.raises(ContextOverflow, match="characters"):
        next(backend.generate(GenerationRequest((user("word " * 1_000_000),)), CancelToken()))


def test_a_template_that_writes_nothing_is_an_error(demo_path: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.jinja"
    nothing.write_text("")
    silent = changed_copy(demo_path, tmp_path / "silent.gguf", metadata={"tokenizer.ggml.add_bos_token": False})
    with open_backend(silent, LoadOptions(template=str(nothing))) as opened, pytest.raises(UsageError, match="nothing"):
        next(opened.generate(GenerationRequest((user("Hello"),)), CancelToken()))
