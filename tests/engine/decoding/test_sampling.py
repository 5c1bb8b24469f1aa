"""Sampling values: defaults of the model card, refused if invalid, and harmless at the limits."""

import math
from dataclasses import replace

import pytest

from hermes_cli.chat.sampling import ALL_TOKENS, Sampling, bias_pairs, decide
from hermes_cli.engine.decoding.sampling import candidates
from hermes_cli.engine.load_options import SELECTED_TOKENS
from hermes_cli.engine.local import LocalBackend
from hermes_cli.errors import UsageError
from tests.engine.answers import answer

QUESTION = "What is 2 plus 3?"


def test_unset_values_come_from_the_model_card() -> None:
    values = decide(Sampling())
    assert (values.temperature, values.top_k, values.top_p, values.min_p) == (0.8, 50, 1.0, 0.0)
    assert (values.repeat_penalty, values.presence_penalty, values.frequency_penalty) == (1.1, 0, 0)
    assert (values.repeat_last_n, values.repeat_scope) == (64, "answer")


def test_zero_is_used_as_a_given_value() -> None:
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
        *(Sampling(mirostat=value) for value in (-1, 3)),
        *(Sampling(repeat_last_n=value) for value in (-2, 2**31)),
        *(Sampling(presence_penalty=value) for value in (-2.1, 2.1, math.nan)),
        *(Sampling(frequency_penalty=value) for value in (-2.1, 2.1, math.nan)),
    ],
    ids=str,
)
def test_value_out_of_range_is_a_usage_error(sampling: Sampling) -> None:
    with pytest.raises(UsageError, match="cannot be") as refused:
        decide(sampling)
    assert "number from" in refused.value.hint


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
        Sampling(repeat_last_n=0, seed=1),
        Sampling(repeat_last_n=2**31 - 1, seed=1),
        Sampling(repeat_last_n=ALL_TOKENS, repeat_scope="all", seed=1),
        Sampling(presence_penalty=-2, frequency_penalty=2, seed=1),
        Sampling(seed=0),
        Sampling(seed=2**32 - 1),
        Sampling(temperature=0, top_k=0, repeat_penalty=100),
        Sampling(typical_p=0, seed=1),
        Sampling(top_n_sigma=100, top_k=0, seed=1),
        Sampling(xtc_probability=1, xtc_threshold=0, seed=1),
        Sampling(dynatemp_range=100, dynatemp_exponent=0, seed=1),
        Sampling(dry_multiplier=100, dry_base=10, dry_allowed_length=0, repeat_scope="all", seed=1),
        Sampling(dry_multiplier=1, dry_penalty_last_n=1, seed=1),
        Sampling(mirostat=1, mirostat_tau=0, mirostat_eta=1, seed=1),
        Sampling(mirostat=2, mirostat_tau=100, dry_multiplier=1, presence_penalty=1, seed=1),
        Sampling(logit_bias="0=-100,1=100,7=1.5", seed=1),
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
        Sampling(temperature=5, top_n_sigma=0.001, repeat_penalty=1),
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


def test_the_scope_of_a_penalty_is_the_answer_or_all() -> None:
    with pytest.raises(UsageError, match="--repeat-scope cannot be prompt") as refused:
        decide(Sampling(repeat_scope="prompt"))
    assert refused.value.hint == "use answer or all"


@pytest.mark.parametrize(
    ("sampling", "counted"),
    [
        (Sampling(), []),
        (Sampling(repeat_scope="all"), list(range(36, 100))),
        (Sampling(repeat_scope="all", repeat_last_n=2), [98, 99]),
        (Sampling(repeat_scope="all", repeat_last_n=ALL_TOKENS), list(range(100))),
        (Sampling(repeat_scope="all", repeat_last_n=0), []),
        (Sampling(repeat_scope="all", repeat_penalty=1), []),
        (Sampling(repeat_scope="all", repeat_penalty=1, presence_penalty=1, repeat_last_n=1), [99]),
    ],
    ids=str,
)
def test_the_tokens_of_a_prompt_that_the_penalties_count(sampling: Sampling, counted: list[int]) -> None:
    assert list(decide(sampling).penalised(range(100))) == counted


@pytest.mark.parametrize(
    ("last_n", "scope", "repeats"),
    [(ALL_TOKENS, "answer", True), (1, "all", True), (ALL_TOKENS, "all", False)],
)
def test_a_penalty_over_the_prompt_keeps_its_words_out(
    backend: LocalBackend, last_n: int, scope: str, repeats: bool
) -> None:
    sampling = Sampling(temperature=0, repeat_penalty=100, repeat_last_n=last_n, repeat_scope=scope)
    assert answer(backend, "Repeat after me: apple", sampling=sampling).text.startswith("apple") is repeats


def test_dry_penalises_sequences_that_occurred_before(backend: LocalBackend) -> None:
    free, penalised = (
        answer(
            backend,
            "Repeat: la la la la la la",
            sampling=Sampling(temperature=0, repeat_penalty=1, dry_multiplier=multiplier, dry_allowed_length=1),
        ).text
        for multiplier in (0, 100)
    )
    assert penalised.count("la") < free.count("la")


def test_a_logit_bias_forbids_a_token_or_leaves_no_other(backend: LocalBackend) -> None:
    two = next(token for token in range(backend.model.vocab_size) if backend.model.piece(token) == b"2")
    free = Sampling(temperature=0, repeat_penalty=1)
    assert "2" in answer(backend, QUESTION, sampling=free).text
    assert "2" not in answer(backend, QUESTION, sampling=replace(free, logit_bias=f"{two}=-100"), max_tokens=12).text
    forced = replace(free, logit_bias=f"{two}=100")
    assert answer(backend, QUESTION, sampling=forced, max_tokens=5).text == "22222"


def test_a_logit_bias_of_a_token_that_does_not_exist_is_an_error(backend: LocalBackend) -> None:
    size = backend.model.vocab_size
    answer(backend, QUESTION, sampling=Sampling(logit_bias=f"{size - 1}=-100", seed=1), max_tokens=2)
    with pytest.raises(UsageError, match=f"no token of this model has the id {size}, 999999999$") as refused:
        answer(backend, QUESTION, sampling=Sampling(logit_bias=f"7=1,{size}=-100,999999999=1", seed=1))
    assert refused.value.hint == f"its ids are 0 to {size - 1}"


def test_xtc_drops_the_likeliest_tokens(backend: LocalBackend) -> None:
    certain = Sampling(temperature=1, top_k=2, xtc_probability=1, xtc_threshold=0, repeat_penalty=1, seed=1)
    texts = [answer(backend, QUESTION, sampling=certain, max_tokens=8).text for _ in range(2)]
    assert texts[0] == texts[1] != answer(backend, QUESTION, max_tokens=8).text


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_takes_the_place_of_the_other_samplers(backend: LocalBackend, version: int) -> None:
    certain = Sampling(temperature=0.001, mirostat=version, repeat_penalty=1, top_k=1, seed=1)
    assert answer(backend, QUESTION, sampling=certain).text == answer(backend, QUESTION).text


@pytest.mark.parametrize("text", ["", "x=1", "1", "1=", "1=101", "1=-100.5", "1=1,", "1=1, 2=1", "-1=1", "1=nan"])
def test_a_logit_bias_has_token_ids_and_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="--logit-bias cannot be") as refused:
        decide(Sampling(logit_bias=text))
    assert refused.value.hint == "use none or ID=BIAS, separated by commas, each bias from -100 to 100"


def test_biases_are_pairs_and_minus_100_is_never() -> None:
    assert bias_pairs("42=-100,7=+2.5,0=100") == ((42, -math.inf), (7, 2.5), (0, 100))
    assert bias_pairs(None) == bias_pairs("none") == ()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(top_k=0),
        Sampling(top_k=0, temperature=0, repeat_penalty=1.1),
        Sampling(top_k=0, temperature=0, repeat_penalty=1, dry_multiplier=0.8),
        Sampling(top_n_sigma=1),
        Sampling(mirostat=1),
        Sampling(mirostat=2),
        Sampling(repeat_scope="all"),
    ],
    ids=str,
)
def test_all_tokens_are_needed_where_the_chain_does_not_begin_with_top_k(sampling: Sampling) -> None:
    assert candidates(decide(sampling)) == 0


def test_a_device_selects_as_many_tokens_as_top_k_takes() -> None:
    assert candidates(decide(Sampling())) == SELECTED_TOKENS
    assert candidates(decide(Sampling(top_k=SELECTED_TOKENS + 1))) == SELECTED_TOKENS + 1
    assert candidates(decide(Sampling(top_k=0, temperature=0, repeat_penalty=1))) == SELECTED_TOKENS
    assert candidates(decide(Sampling()), ((1, 5.0),)) == 0


def test_so_many_tokens_that_llama_cpp_would_abort_are_not_selected() -> None:
    assert candidates(decide(Sampling(top_k=200_000))) == 0


@pytest.mark.parametrize("mirostat", [0, 2])
def test_the_highest_seed_repeats_its_answer_too(backend: LocalBackend, mirostat: int) -> None:
    wild = Sampling(temperature=5, top_k=0, mirostat=mirostat, mirostat_tau=100, seed=2**32 - 1)
    answer(backend, "Hi", max_tokens=1)  # the same cache for all
    texts = {answer(backend, "Hi", sampling=wild, max_tokens=24).text for _ in range(3)}
    assert len(texts) == 1
