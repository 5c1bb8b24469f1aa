"""Drafts do not change the tokens, and cost almost nothing if they do not help."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speculation import TASKS
from hermes_cli import paths
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.decoding.speculation import DraftRule, Lookup, draft_costs
from hermes_cli.engine.load_options import DRAFT_ROWS, LoadOptions
from hermes_cli.engine.local import LoadSettings, LocalBackend, open_backend
from hermes_cli.machine.load_plan import plan_load
from tests.engine.answers import GREEDY, answer, user

COPY = "Repeat: the red fox and the red hen and the red cow walk to the red barn"
SETTINGS = LoadSettings(context_length=1024, kv_store_bytes=0, scored_tokens=DRAFT_ROWS)


class AlwaysDraft(DraftRule):
    """Drafts of three tokens wherever a lookup finds some, whether they pay or not."""

    def __init__(self) -> None:
        super().__init__()
        self.offered = self.accepted = 0

    def length(self) -> int:
        return 3

    def drafted(self, length: int, accepted: int, seconds: float) -> None:
        self.offered, self.accepted = self.offered + length, self.accepted + accepted


@pytest.fixture(scope="module")
def plain() -> Iterator[LocalBackend]:
    with open_backend(paths.DEMO_MODEL, SETTINGS) as backend:
        yield backend


@pytest.fixture
def drafting() -> Iterator[LocalBackend]:
    with open_backend(paths.DEMO_MODEL, SETTINGS) as backend:
        backend.drafts = AlwaysDraft()
        yield backend


def rule_of(backend: LocalBackend) -> AlwaysDraft:
    assert isinstance(backend.drafts, AlwaysDraft)
    return backend.drafts


def test_greedy_text_is_the_same_and_drafts_are_accepted(plain: LocalBackend, drafting: LocalBackend) -> None:
    assert answer(drafting, COPY).text == answer(plain, COPY).text
    assert rule_of(drafting).accepted > 0


def test_a_device_selects_candidates_for_every_token_of_a_draft(plain: LocalBackend) -> None:
    with open_backend(paths.DEMO_MODEL, replace(SETTINGS, device_sampling=True)) as backend:
        backend.drafts = AlwaysDraft()
        assert answer(backend, COPY).text == answer(plain, COPY).text
        assert backend.drafts.accepted > 0


def test_the_random_stream_is_the_same(plain: LocalBackend, drafting: LocalBackend) -> None:
    """Two seeds in a hundred may differ: last bits depend on the size of a batch, and a draw may fall between."""
    same = 0
    for seed in range(100):
        sampling = Sampling(temperature=1.5, repeat_penalty=1.0, seed=seed)
        texts = {answer(backend, COPY, sampling=sampling, max_tokens=16).text for backend in (plain, drafting)}
        same += len(texts) == 1
    assert same >= 90
    assert 0 < rule_of(drafting).accepted < rule_of(drafting).offered


def test_sampled_answers_have_the_same_distribution(plain: LocalBackend, drafting: LocalBackend) -> None:
    def counts(backend: LocalBackend, seeds: range) -> Counter[str]:
        sampling = [Sampling(temperature=1.5, top_k=20, repeat_penalty=1.0, seed=seed) for seed in seeds]
        return Counter(answer(backend, "The red fox. The red", sampling=one, max_tokens=5).text for one in sampling)

    # Other seeds, so that equal streams cannot hide another distribution.
    without, with_drafts = counts(plain, range(400)), counts(drafting, range(400, 800))
    texts = [text for text, _ in (without + with_drafts).most_common(8)]
    cells = [(without[text], with_drafts[text]) for text in texts]
    cells.append((400 - sum(one for one, _ in cells), 400 - sum(other for _, other in cells)))
    chi_squared = sum((one - other) ** 2 / (one + other) for one, other in cells if one + other)
    assert chi_squared < 40  # 8 degrees of freedom: exceeded by chance once in 300,000 runs


def test_the_repetition_penalty_counts_accepted_tokens(plain: LocalBackend, drafting: LocalBackend) -> None:
    sampling = Sampling(temperature=0, repeat_penalty=1.5)
    assert answer(drafting, COPY, sampling=sampling).text == answer(plain, COPY, sampling=sampling).text


def test_the_cache_holds_what_an_answer_without_drafts_leaves(plain: LocalBackend, drafting: LocalBackend) -> None:
    for limit in range(1, 24):
        ends = [answer(backend, COPY, max_tokens=limit).finished for backend in (plain, drafting)]
        assert ends[0].usage.completion_tokens == ends[1].usage.completion_tokens
        assert drafting.cache.ledger == plain.cache.ledger
        assert drafting.cache.context.position() == len(drafting.cache.ledger)


def test_a_stop_string_inside_a_draft_ends_the_answer(plain: LocalBackend, drafting: LocalBackend) -> None:
    for stop in ("hen", "d h", "cow walk"):
        found = [answer(backend, COPY, stop=(stop,)) for backend in (plain, drafting)]
        assert found[0].text == found[1].text
        assert stop not in found[1].text
        assert drafting.cache.ledger == plain.cache.ledger


def test_log_probabilities_are_those_of_each_token(plain: LocalBackend, drafting: LocalBackend) -> None:
    request = GenerationRequest((user(COPY),), GREEDY, 32, top_logprobs=2)
    found = []
    for backend in (plain, drafting):
        events = backend.generate(request, CancelToken())
        found.append([token for event in events if isinstance(event, TextDelta) for token in event.tokens])
    assert [one.token for one in found[0]] == [one.token for one in found[1]]
    for one, other in zip(*found, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=0.2)


def test_constrained_answers_are_the_same(plain: LocalBackend, drafting: LocalBackend) -> None:
    schema = {
        "type": "object",
        "properties": {name: {"enum": ["red fox", "red hen"]} for name in ("first", "second", "third")},
        "required": ["first", "second", "third"],
        "additionalProperties": False,
    }
    request = GenerationRequest((user("Two animals: red fox, red hen"),), GREEDY, 64, schema=schema)
    texts = []
    for backend in (plain, drafting):
        events = backend.generate(request, CancelToken())
        texts.append("".join(event.text for event in events if isinstance(event, TextDelta)))
    assert texts[0] == texts[1]
    assert set(json.loads(texts[1])) == {"first", "second", "third"}


def test_after_a_cancel_the_ledger_matches_the_cache(drafting: LocalBackend) -> None:
    cancel = CancelToken()
    finished: Finished | None = None
    for event in drafting.generate(GenerationRequest((user(COPY),), GREEDY, 200), cancel):
        if isinstance(event, TextDelta):
            cancel.cancel("interrupt")
        finished = event if isinstance(event, Finished) else finished
    assert finished
    assert drafting.cache.context.position() == len(drafting.cache.ledger)
    assert answer(drafting, COPY).text


def test_drafts_are_used_on_request_only() -> None:
    for speculate in (False, True):
        (first, *_) = plan_load(paths.DEMO_MODEL, LoadOptions(speculate=speculate, gpu_layers=0)).attempts
        assert first.speculates == speculate
        assert first.scored_tokens == (DRAFT_ROWS if speculate else 1)
        with open_backend(paths.DEMO_MODEL, first) as backend:
            assert (backend.drafts is not None) == speculate


@given(st.lists(st.integers(0, 3), max_size=60), st.lists(st.integers(0, 3), max_size=60), st.integers(1, 15))
def test_a_draft_is_what_followed_the_same_tokens(prompt: list[int], written: list[int], most: int) -> None:
    lookup, tokens = Lookup(prompt), list(prompt)
    for token in written:
        draft = lookup.draft(most)
        places = range(3, len(tokens))
        seen = [tokens[at : at + most] for at in places if tokens[at - 3 : at] == tokens[-3:]]
        drafts = [one[: max(length for length in (1, 3, 7, 15) if length <= len(one))] for one in seen]
        assert (draft in drafts) if drafts else draft == []
        lookup.add(token)
        tokens.append(token)


def test_the_place_that_agrees_with_the_most_tokens_is_followed() -> None:
    copied = [7, 8, 1, 2, 3, 4, 5, 6]
    lookup = Lookup([*copied, 9, 1, 2, 3, 10, 11, 12, *copied[:5]])
    assert lookup.draft(3) == copied[5:]


def test_a_correct_draft_is_followed_where_it_was_found() -> None:
    lookup = Lookup([1, 2, 3, 4, 5, 6, 9, 2, 3, 4, 7, 8, 1, 2, 3])
    assert lookup.draft(3) == [4, 5, 6] or lookup.draft(3) == [4, 7, 8]
    taken = lookup.draft(3)
    for token in taken:
        lookup.add(token)
    assert lookup.draft(1) == [9 if taken == [4, 5, 6] else 1]


class Machine:
    """A model on which a token takes 1 s, each drafted one `cost` s more, the token after a draft `switch` s more."""

    def __init__(self, cost: float, switch: float = 0.0) -> None:
        self.rule, self.cost, self.switch, self.random = DraftRule(), cost, switch, Random(1)

    def seconds(self, tokens: int, right: float) -> float:
        """How long `tokens` tokens take, when drafts are right this often, token by token."""
        spent, done, drafted = 0.0, 0, False
        while done < tokens:
            length = self.rule.length()
            if not length:
                self.rule.predicted(right=self.random.random() < right)
                took = 1 + self.switch * drafted
                self.rule.single(took)
                spent, done, drafted = spent + took, done + 1, False
                continue
            accepted = next((at for at in range(length) if self.random.random() >= right), length)
            for at in range(min(accepted + 1, length)):
                self.rule.predicted(right=at < accepted)
            took = 1 + length * self.cost
            self.rule.drafted(length, accepted, took)
            spent, done, drafted = spent + took, done + accepted + 1, True
        return spent


@pytest.mark.parametrize("cost", [0.05, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("switch", [0.0, 0.6])
def test_drafts_that_are_never_right_cost_less_than_two_percent(cost: float, switch: float) -> None:
    assert Machine(cost, switch).seconds(300, right=0.0) <= 300 * 1.02


def test_an_answer_of_forty_tokens_is_generated_without_drafts() -> None:
    assert Machine(0.1).seconds(40, right=1.0) == 40


def test_a_draft_is_too_dear_if_the_token_after_it_takes_longer() -> None:
    assert Machine(0.3, switch=0.9).seconds(600, right=0.5) <= 600 * 1.02


def test_after_many_right_predictions_a_draft_of_known_cost_is_made_without_credit() -> None:
    rule = DraftRule({1: 0.2, 3: 0.6, 7: 1.4, 15: 2.0})
    rule.single(1.0)
    for _ in range(8):
        rule.drafted(15, 0, 3.0)  # the credit is gone
        rule.predicted(right=False)
    assert rule.length() == 0
    for _ in range(20):
        rule.predicted(right=True)
    assert rule.length() == 0, "the debt has a limit"
    for _ in range(3000):
        rule.single(1.0)
    assert rule.length() == 15


def test_a_rule_that_knows_the_costs_starts_with_the_first_match() -> None:
    machine = Machine(0.2)
    machine.rule = DraftRule({1: 0.2, 3: 0.6, 7: 1.4, 15: 3.0})
    assert machine.seconds(40, right=1.0) < 40 / 2
    machine.rule = DraftRule({1: 0.2, 3: 0.6, 7: 1.4, 15: 3.0})
    assert machine.seconds(100, right=0.0) < 100 * 1.02


def test_the_costs_of_drafts_are_measured_in_an_empty_cache(plain: LocalBackend) -> None:
    with open_backend(paths.DEMO_MODEL, SETTINGS) as backend:
        costs = draft_costs(backend.cache.context)
        assert sorted(costs) == [1, 3, 7, 15]
        assert min(costs.values()) >= 0
        assert backend.cache.context.position() == 0
        assert answer(backend, COPY).text == answer(plain, COPY).text


class Gpu:
    """The times of batches measured on an H200 with the 8B shape, in ms; a new size takes longer, twice."""

    MS: ClassVar = {1: 3.75, 2: 4.42, 4: 5.86, 8: 8.83, 16: 9.02}
    NEW_MS: ClassVar = (1.4, 3.3)

    def __init__(self) -> None:
        self.size, self.seen = 1, len(self.NEW_MS)

    def ms(self, size: int) -> float:
        """How long the next batch takes."""
        self.seen = self.seen + 1 if size == self.size else 0
        self.size = size
        return self.MS[size] + (self.NEW_MS[self.seen] if self.seen < len(self.NEW_MS) else 0.0)


def gain_on(gpu: Gpu, rule: DraftRule, prompt: list[int], answer_tokens: list[int]) -> float:
    """How much faster the answer is generated than without drafts."""
    lookup, spent, draft, accepted, took = Lookup(prompt), 0.0, list[int](), 0, 0.0
    for done, token in enumerate(answer_tokens, 1):
        right = lookup.add(token)
        if right is not None:
            rule.predicted(right=right)
        if draft[accepted : accepted + 1] == [token]:
            accepted += 1
            continue
        if draft:
            rule.drafted(len(draft), accepted, took)
        elif took:
            rule.single(took)
        most = min(rule.length(), len(answer_tokens) - done - 1)
        draft, accepted = lookup.draft(most) if most > 0 else [], 0
        took = gpu.ms(1 + len(draft))
        spent += took
    return len(answer_tokens) * gpu.MS[1] / spent


@pytest.mark.parametrize("order", [1, -1])
def test_on_a_gpu_copied_text_is_much_faster_and_other_text_hardly_slower(plain: LocalBackend, order: int) -> None:
    single = Gpu.MS[1]
    gpu, rule = Gpu(), DraftRule({size - 1: ms / single - 1 for size, ms in Gpu.MS.items() if size > 1})
    for name, texts in list(TASKS.items())[::order]:
        question, written = map(plain.model.tokenize, texts)
        for _ in range(3):
            gain = gain_on(gpu, rule, question, written)
            assert gain > (1.5 if name in ("edit code", "quote") else 0.97), name


@pytest.mark.parametrize(("cost", "right", "gain"), [(0.1, 0.95, 3.0), (0.3, 0.9, 1.5), (0.1, 0.6, 1.2)])
def test_correct_drafts_save_time(cost: float, right: float, gain: float) -> None:
    machine = Machine(cost)
    assert machine.seconds(600, right) <= 600 / gain


def test_drafts_that_cost_more_than_they_save_end_and_are_tried_again() -> None:
    machine = Machine(1.5)
    assert machine.seconds(1000, right=0.9) <= 1000 * 1.02
    machine.cost = 0.1
    machine.seconds(3000, right=0.9)
    assert machine.seconds(500, right=0.9) <= 350
