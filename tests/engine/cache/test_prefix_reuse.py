"""The content of the cache is reused, and answers equal those of a new backend."""

from pathlib import Path

import pytest

from hermes_cli.chat.message import Message
from hermes_cli.engine.llama.context import DecodeAborted
from hermes_cli.engine.local import LoadSettings, LocalBackend, open_backend
from tests.engine.answers import answer, assistant, user
from tests.gguf_copy import written_mamba

SYSTEM = Message("system", "You are Brinda, a cheerful baker who lives in Oslo.")
ANA, BORIS = user("My name is Ana."), user("My name is Boris.")
NICE = assistant("Nice to meet you!")
NAME = user("What is my name?")
SUM = user("What is 4 plus 5?")
OTHER_SUM = user("What is 9 plus 3?")
NINE = assistant("4 plus 5 is 9.")
WHO = user("Who are you?")

# One conversation as it grows, is edited in the middle, cut back and started again, asked one after the other.
TURNS = [
    (ANA,),
    (ANA, NICE, NAME),
    (ANA, NICE, SUM),
    (ANA, NICE, SUM, NINE, NAME),
    (BORIS, NICE, SUM, NINE, NAME),
    (BORIS, NICE, SUM, NINE, OTHER_SUM),
    (BORIS, NICE, NAME),
    (SYSTEM, BORIS, NICE, NAME),
    (SYSTEM, ANA, NICE, SUM, NINE, NAME),
    (SYSTEM, ANA, NICE, WHO),
    (ANA, NICE, NAME),
]


def fresh_answer(demo_path: Path, messages: tuple[Message, ...]) -> str:
    """The answer of a backend whose cache is empty."""
    with open_backend(demo_path, LoadSettings(context_length=512)) as opened:
        return answer(opened, messages).text


def test_answers_with_a_used_cache_are_those_of_a_fresh_backend(backend: LocalBackend, demo_path: Path) -> None:
    for messages in TURNS:
        given = answer(backend, messages)
        assert given.text == fresh_answer(demo_path, messages) != ""
        assert len(backend.cache.ledger) == backend.cache.context.position()


def test_an_edit_in_the_middle_changes_what_the_model_knows(backend: LocalBackend) -> None:
    assert "Ana" in answer(backend, (ANA, NICE, SUM, NINE, NAME)).text
    assert "Boris" in answer(backend, (BORIS, NICE, SUM, NINE, NAME)).text
    assert "Ana" in answer(backend, (ANA, NICE, SUM, NINE, NAME)).text


def test_the_next_turn_processes_only_what_is_new(backend: LocalBackend) -> None:
    first = answer(backend, (SYSTEM, ANA))
    new = (user("What is 1 plus 1?"),)
    usage = answer(backend, (SYSTEM, ANA, assistant(first.text), *new)).finished.usage
    assert usage.prompt_tokens - usage.cached_tokens <= backend.count_tokens(new) + 1


def test_an_edit_keeps_what_comes_before_it(backend: LocalBackend) -> None:
    answer(backend, (SYSTEM, ANA, NICE, SUM))
    usage = answer(backend, (SYSTEM, BORIS, NICE, SUM)).finished.usage
    assert usage.cached_tokens > backend.count_tokens((SYSTEM,)) - 4
    assert usage.cached_tokens < backend.count_tokens((SYSTEM, BORIS))


@pytest.mark.parametrize("tokens_read", [1, 20, 700])
def test_after_a_stopped_answer_the_cache_holds_what_the_ledger_says(
    backend: LocalBackend, demo_path: Path, tokens_read: int
) -> None:
    answer(backend, (user("word " * tokens_read),), max_tokens=3)
    assert len(backend.cache.ledger) == backend.cache.context.position()
    assert answer(backend, (ANA, NICE, NAME)).text == fresh_answer(demo_path, (ANA, NICE, NAME))


def test_a_recurrent_model_processes_the_whole_prompt_again(demo_path: Path, tmp_path: Path) -> None:
    with open_backend(written_mamba(demo_path, tmp_path / "mamba.gguf")) as opened:
        first, second = (answer(opened, (ANA,), max_tokens=12) for _ in range(2))
        assert second.text == first.text
        assert second.finished.usage.cached_tokens == 0
        assert len(opened.cache.ledger) == opened.cache.context.position()


def test_nothing_is_kept_of_a_recurrent_model_that_was_stopped(demo_path: Path, tmp_path: Path) -> None:
    with open_backend(written_mamba(demo_path, tmp_path / "mamba.gguf")) as opened:
        cache, tokens = opened.cache, opened.prompt_tokens((ANA,))
        list(cache.read(tokens[:4]))
        cache.context.abort()
        with pytest.raises(DecodeAborted):
            list(cache.read(tokens[4:]))
        assert (cache.ledger, cache.context.position()) == ([], 0)
