"""Sampling values: the model card's where nothing is said, refused where they make no sense, harmless at the edges."""

import math

import pytest

from hermes_cli.chat.request import Sampling
from hermes_cli.chat.sampling import decide
from hermes_cli.engine.local import LocalBackend
from hermes_cli.errors import UsageError
from tests.engine.answers import answer

QUESTION = "What is 2 plus 3?"


def test_what_is_left_open_is_as_the_model_card_says() -> None:
    values = decide(Sampling())
    assert (values.temperature, values.top_k, values.top_p, values.min_p) == (0.8, 50, 1.0, 0.0)
    assert values.repeat_penalty == 1.1


def test_a_given_value_is_used_also_where_it_is_zero() -> None:
    values = decide(Sampling(temperature=0, top_k=0, top_p=0, min_p=0, seed=0))
    assert (values.temperature, values.top_k, values.top_p, values.min_p, values.seed) == (0, 0, 0, 0, 0)


def test_seeds_not_given_differ() -> None:
    assert len({decide(Sampling()).seed for _ in range(8)}) == 8


@pytest.mark.parametrize(
    "sampling",
    [
        *(Sampling(temperature=value) for value in (-0.1, 101, math.nan, math.inf)),
        *(Sampling(top_k=value) for value in (-1, 2**31)),
        *(Sampling(top_p=value) for value in (-0.1, 1.1, math.nan)),
        *(Sampling(min_p=value) for value in (-0.1, 1.1, math.nan)),
        *(Sampling(repeat_penalty=value) for value in (0, -1, 101, math.nan)),
        *(Sampling(seed=value) for value in (-1, 2**32)),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_wrong_use(sampling: Sampling) -> None:
    with pytest.raises(UsageError, match="is out of range") as refused:
        decide(sampling)
    assert "give a number from" in refused.value.hint


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=100, seed=1),
        Sampling(temperature=1e-9, seed=1),
        Sampling(top_k=0, seed=1),
        Sampling(top_k=1, seed=1),
        Sampling(top_k=2**31 - 1, seed=1),
        Sampling(top_p=0, seed=1),
        Sampling(min_p=1, seed=1),
        Sampling(repeat_penalty=0.01, seed=1),
        Sampling(repeat_penalty=100, seed=1),
        Sampling(seed=0),
        Sampling(seed=2**32 - 1),
        Sampling(temperature=0, top_k=0, repeat_penalty=100),
    ],
    ids=str,
)
def test_the_edges_of_every_range_give_an_answer(backend: LocalBackend, sampling: Sampling) -> None:
    given = answer(backend, QUESTION, sampling=sampling, max_tokens=12)
    assert given.finished.usage.completion_tokens > 0
    assert given.finished.reason in ("stop", "length")


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=5, top_k=1, repeat_penalty=1),
        Sampling(temperature=5, top_p=0, repeat_penalty=1),
        Sampling(temperature=5, min_p=1, repeat_penalty=1),
        Sampling(temperature=0.001, repeat_penalty=1),
    ],
    ids=str,
)
def test_each_way_to_keep_only_the_likeliest_token_gives_the_greedy_answer(
    backend: LocalBackend, sampling: Sampling
) -> None:
    assert answer(backend, QUESTION, sampling=sampling).text == answer(backend, QUESTION).text


def test_a_repeat_penalty_keeps_the_answer_from_repeating_itself(backend: LocalBackend) -> None:
    free, penalised = (
        answer(backend, "Repeat: la la la la la la", sampling=Sampling(temperature=0, repeat_penalty=penalty)).text
        for penalty in (1, 100)
    )
    assert penalised.count("la") < free.count("la")
