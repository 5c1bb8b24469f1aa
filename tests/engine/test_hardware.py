"""What this machine offers, and the window that fits into it."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hermes_cli.engine import context_length, hardware
from hermes_cli.engine.native_model import KvType, Model
from hermes_cli.errors import EngineError, UsageError
from tests.conftest import Script
from tests.gguf_copy import changed_copy

PLENTY = 24_000_000_000


@pytest.fixture(scope="module")
def demo(demo_path: Path) -> Iterator[Model]:
    """The demo model, loaded."""
    model = Model(demo_path)
    yield model
    model.close()


@pytest.fixture(scope="module")
def wide(demo_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """The demo model, said to be trained for a window no memory holds."""
    file = tmp_path_factory.mktemp("wide") / "wide.gguf"
    model = Model(changed_copy(demo_path, file, metadata={"llama.context_length": 2**31 - 1}))
    yield model
    model.close()


def test_there_is_a_core_and_not_more_than_the_system_has() -> None:
    assert 1 <= hardware.physical_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processes bound to cores")
def test_a_process_bound_to_one_core_uses_one(script: Script) -> None:
    code = """
    import os
    from hermes_cli.engine import hardware
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(hardware.physical_cores())
    """
    assert script(code).out == b"1\n"


def test_free_memory_is_some_and_not_more_than_there_is() -> None:
    assert 0 < hardware.available_bytes() <= psutil.virtual_memory().total


def test_the_processor_has_a_name() -> None:
    assert hardware.cpu_name().strip()


def test_the_cache_of_the_demo_model_takes_what_its_shape_says(demo: Model, demo_path: Path) -> None:
    layers, kv_heads, head_numbers = demo.layer_count, 4, 2 * 32
    assert demo.kv_bytes_per_token("f16") == layers * kv_heads * head_numbers * 2
    assert demo.kv_bytes_per_token("q8_0") == layers * kv_heads * head_numbers * 34 // 32


def test_a_small_trained_window_is_used_whole(demo: Model) -> None:
    assert context_length.choose(demo, None, "f16", PLENTY) == demo.trained_context_length


def test_the_wish_is_granted_up_to_what_the_model_was_trained_for(demo: Model) -> None:
    trained = demo.trained_context_length
    assert context_length.choose(demo, trained, "f16", PLENTY) == trained
    with pytest.raises(UsageError, match=f"--ctx {trained + 1}"):
        context_length.choose(demo, trained + 1, "f16", PLENTY)


def test_a_wide_window_is_the_default_where_nothing_is_wished(wide: Model) -> None:
    assert context_length.choose(wide, None, "f16", PLENTY) == context_length.DEFAULT_TOKENS


def test_a_window_that_memory_cannot_hold_is_refused_with_one_that_it_can(wide: Model) -> None:
    with pytest.raises(EngineError, match="more than is free here") as refused:
        context_length.choose(wide, 2**31 - 1, "f16", PLENTY)
    possible = int(refused.value.hint.split("--ctx ")[1].split()[0])
    assert context_length.choose(wide, possible, "f16", PLENTY) == possible


def test_where_no_window_fits_the_hint_names_none(wide: Model) -> None:
    with pytest.raises(EngineError) as refused:
        context_length.choose(wide, 4096, "f16", 0)
    assert "--ctx" not in refused.value.hint


def test_short_memory_makes_the_default_window_smaller(wide: Model) -> None:
    per_token = wide.kv_bytes_per_token("f16") + context_length.CPU_BATCH_TOKENS * wide.head_count * 4
    free = int((wide.size_bytes + 300_000_000 + 2000 * per_token) / 0.8)
    assert 1990 <= context_length.choose(wide, None, "f16", free) <= 2000
    assert context_length.choose(wide, None, "f16", 0) == context_length.MINIMUM_TOKENS


def test_the_memory_of_a_gpu_is_not_counted_here(wide: Model) -> None:
    assert context_length.choose(wide, None, "f16", None) == context_length.DEFAULT_TOKENS


def test_a_smaller_cache_gives_a_longer_window(wide: Model) -> None:
    def longest(kv_type: KvType) -> int:
        with pytest.raises(EngineError) as refused:
            context_length.choose(wide, 2**31 - 1, kv_type, PLENTY)
        return int(refused.value.hint.split("--ctx ")[1].split()[0])

    assert longest("q8_0") > 1.5 * longest("f16")
