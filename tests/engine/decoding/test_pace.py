"""The number of threads: fewer while ours wait for a core, more after cores were idle, never flapping."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.engine.decoding.pace import Reading, ThreadPace, ThreadRule, read_counters
from hermes_cli.engine.local import LoadSettings, LocalBackend, open_backend
from tests.engine.answers import answer

LOOK_S = 0.05
MOST = 8
needs_counters = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="the kernel does not count how long threads wait"
)


class Clock:
    """Readings of a machine on which this many of our threads wait and this many cores are idle, look after look."""

    def __init__(self, rule: ThreadRule) -> None:
        self.rule, self.reading = rule, Reading(0.0, 0.0, 0.0)
        rule.update(self.reading, rule.count)

    def looks(self, number: int, *, waiting: float = 0.0, idle: float = 0.0) -> list[int]:
        """The number of threads after each of `number` looks."""
        return [self._look(waiting, idle) for _ in range(number)]

    def _look(self, waiting: float, idle: float) -> int:
        last = self.reading
        self.reading = Reading(last.at_s + LOOK_S, last.waited_s + waiting * LOOK_S, last.idle_s + idle * LOOK_S)
        return self.rule.update(self.reading, self.rule.count)


def neighbours(busy: int, threads: int, cores: int = MOST) -> tuple[float, float]:
    """How many of our threads wait on average with `busy` other ones, and how many cores are idle."""
    runnable = busy + threads
    return max(0, runnable - cores) * threads / runnable, max(0, cores - runnable)


def test_a_quiet_machine_keeps_all_threads() -> None:
    assert set(Clock(ThreadRule(MOST)).looks(100)) == {MOST}


@pytest.mark.parametrize("busy", range(MOST))
def test_beside_busy_programs_the_rest_of_the_cores_is_used_and_the_number_settles(busy: int) -> None:
    clock, counts = Clock(ThreadRule(MOST)), []
    for _ in range(200):
        waiting, idle = neighbours(busy, clock.rule.count)
        counts += clock.looks(1, waiting=waiting, idle=idle)
    (settled,) = set(counts[100:])
    assert settled == MOST - busy or neighbours(busy, settled)[0] <= 0.25


def test_the_first_look_reacts() -> None:
    assert Clock(ThreadRule(2)).looks(1, waiting=0.6) == [1]


def test_a_wait_of_one_time_slice_after_a_short_prompt_changes_nothing() -> None:
    rule = ThreadRule(2)
    rule.update(Reading(0.0, 0.0, 0.0), 2)
    assert rule.update(Reading(0.012, 0.004, 0.0), 2) == 2
    assert rule.update(Reading(0.062, 0.004, 0.0), 2) == 2
    assert rule.update(Reading(0.112, 0.034, 0.0), 2) == 1


def test_a_program_that_runs_for_a_moment_changes_nothing() -> None:
    clock = Clock(ThreadRule(2))
    for _ in range(20):
        assert clock.looks(5) + clock.looks(1, waiting=0.4) == [2] * 6
    assert clock.looks(2, waiting=0.4)[-1] == 1


def test_the_waits_of_a_prompt_with_all_threads_count_once() -> None:
    rule = ThreadRule(MOST)
    rule.update(Reading(0.0, 0.0, 0.0), MOST)
    assert rule.update(Reading(1.0, 1.6, 0.0), MOST) == MOST - 2
    rule.restart()
    rule.update(Reading(2.0, 1.6, 0.0), MOST)
    assert rule.update(Reading(3.0, 3.2, 0.0), MOST) == MOST - 2
    assert rule.update(Reading(3.05, 3.2, 0.0), MOST - 2) == MOST - 2


def test_short_waits_are_ignored() -> None:
    assert set(Clock(ThreadRule(MOST)).looks(50, waiting=0.2)) == {MOST}


def test_threads_come_back_when_cores_are_idle_but_not_at_once() -> None:
    clock = Clock(ThreadRule(2))
    clock.looks(1, waiting=1)
    assert clock.looks(4, idle=1) == [1, 1, 1, 1]
    assert clock.looks(4, idle=1)[-1] == 2


def test_a_core_that_is_idle_half_the_time_is_not_used() -> None:
    clock = Clock(ThreadRule(2))
    clock.looks(1, waiting=1)
    assert set(clock.looks(100, idle=0.5)) == {1}


def test_threads_that_are_dropped_again_at_once_come_back_later_and_later() -> None:
    clock, pauses = Clock(ThreadRule(2)), []
    for _ in range(5):
        assert clock.looks(1, waiting=1) == [1]
        pauses.append(next(number for number in range(1000) if clock.looks(1, idle=1) == [2]))
    assert pauses == sorted(pauses) and pauses[-1] > 5 * pauses[0]


def test_after_a_steady_time_the_first_pause_is_short_again() -> None:
    clock = Clock(ThreadRule(2))
    for _ in range(4):
        clock.looks(1, waiting=1)
        while clock.looks(1, idle=1) != [2]:
            pass
    clock.looks(40)
    clock.looks(1, waiting=1)
    assert clock.looks(8, idle=1)[-1] == 2


@given(st.lists(st.tuples(st.floats(0, 2 * MOST), st.floats(0, MOST)), max_size=60))
def test_the_number_stays_between_one_and_all(looks: list[tuple[float, float]]) -> None:
    clock = Clock(ThreadRule(MOST))
    for waiting, idle in looks:
        assert 1 <= clock.looks(1, waiting=waiting, idle=idle)[0] <= MOST


def test_pause_between_requests_does_not_change_the_threads() -> None:
    clock = Clock(ThreadRule(2))
    clock.rule.restart()
    assert clock.looks(1, waiting=2) == [2]


@needs_counters
def test_the_counters_of_this_machine_never_go_back() -> None:
    first = read_counters()
    until = time.perf_counter() + 0.1
    while time.perf_counter() < until:
        pass
    second = read_counters()
    assert second.at_s - first.at_s >= 0.1
    assert second.waited_s >= first.waited_s >= 0
    cores = len(os.sched_getaffinity(0))
    assert 0 <= second.idle_s - first.idle_s <= cores * (second.at_s - first.at_s + 0.02)


@needs_counters
def test_looking_takes_little_of_the_time() -> None:
    looks: list[int] = []
    pace = ThreadPace(4, looks.append)
    pace.start()
    for _ in range(20):
        started = time.perf_counter()
        pace.look(started)
        assert pace.due_s >= started + 0.05
    assert 1 <= pace.count <= 4


@pytest.fixture(scope="module")
def adapting(endless_path: Path) -> Iterator[LocalBackend]:
    with open_backend(endless_path, LoadSettings(threads=4, adapts_threads=True, kv_store_bytes=0)) as opened:
        yield opened


def test_answers_do_not_depend_on_the_number_of_threads(adapting: LocalBackend, endless_path: Path) -> None:
    with open_backend(endless_path, LoadSettings(threads=1, kv_store_bytes=0)) as fixed:
        for question in ("What is 2 plus 3?", "Write a list of fruit."):
            adapted, expected = (answer(backend, question, max_tokens=100) for backend in (adapting, fixed))
            assert adapted.text == expected.text != ""
