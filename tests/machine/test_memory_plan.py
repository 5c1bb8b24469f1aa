"""The memory plan compared with the sizes that llama.cpp logs, on the demo model."""

import re
from pathlib import Path

import pytest

from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.load_options import CPU_BATCH_TOKENS, LoadSettings
from hermes_cli.gguf.file import header_of
from hermes_cli.kv_types import UNQUANTISED, KvType
from hermes_cli.machine.memory_plan import estimate

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def model(demo_path: Path) -> Model:
    return Model(demo_path)


@pytest.mark.parametrize("length", [512, 1024, 2048, 4096])
@pytest.mark.parametrize(
    ("kv_type", "flash"),
    [
        ("f16", False),
        ("f16", True),
        ("q8_0", True),
        ("f32", False),
        ("bf16", False),
        ("q5_1", True),
        ("q4_0", True),
        ("iq4_nl", True),
    ],
)
def test_estimates_are_within_a_tenth_of_what_llama_cpp_reserves(
    model: Model, demo_path: Path, length: int, kv_type: KvType, flash: bool
) -> None:
    library.clear_log()
    context = Context(
        model,
        context_length=length,
        batch_size=CPU_BATCH_TOKENS,
        threads=1,
        kv_type=kv_type,
        flash_attention=flash or None if kv_type not in UNQUANTISED else flash,
    )
    log = "\n".join(library.log_lines())
    context.close()
    cache = sum(float(size) for size in re.findall(r"KV buffer size = +([\d.]+) MiB", log)) * MIB
    compute = sum(float(size) for size in re.findall(r"(?:compute|output) buffer size = +([\d.]+) MiB", log)) * MIB
    settings = LoadSettings(context_length=length, kv_type=kv_type, flash_attention=flash)
    planned = estimate(header_of(demo_path), settings)
    assert cache > 0 and compute > 0
    assert planned.kv_bytes == pytest.approx(cache, rel=0.01)
    assert planned.compute_bytes == pytest.approx(compute, rel=0.1)


def test_the_weights_are_those_of_the_model(model: Model, demo_path: Path) -> None:
    assert estimate(header_of(demo_path), LoadSettings()).weights_bytes == model.size_bytes


def test_llama_cpp_chooses_flash_attention_for_a_quantised_cache(demo_path: Path) -> None:
    header = header_of(demo_path)
    plans = [estimate(header, LoadSettings(kv_type=kv_type, flash_attention=None)) for kv_type in ("f16", "q8_0")]
    assert [plan.flash_attention for plan in plans] == [False, True]
