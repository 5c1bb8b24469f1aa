"""A chat that waits uses no CPU, and memory does not grow with the number of turns."""

from benchmarks.idle import idle, memory


def test_a_chat_at_its_prompt_uses_no_cpu() -> None:
    used_s, _ = idle(2.0)
    assert used_s <= 0.1


def test_memory_does_not_grow_from_turn_to_turn() -> None:
    sizes = [size for _, size in memory(100)]
    assert sizes[-1] - sizes[1] < 2_000_000, sizes  # the first turns fill caches


def test_the_last_size_is_that_after_all_turns() -> None:
    assert [count for count, _ in memory(30)] == [20, 30]
