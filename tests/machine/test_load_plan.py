"""Plans for machines of all sizes, and the fallback of the engine to the next attempt."""

from dataclasses import replace
from pathlib import Path

import pytest

from hermes_cli.engine import hardware
from hermes_cli.engine.llama.devices import Gpu
from hermes_cli.engine.load_options import CPU_BATCH_TOKENS, LoadOptions, LoadSettings
from hermes_cli.errors import EngineError, OutOfMemory, UsageError
from hermes_cli.gguf.file import model_header
from hermes_cli.gguf.header import Header
from hermes_cli.kv_types import KvType
from hermes_cli.machine import probe, tuning
from hermes_cli.machine.load_plan import Machine, plan_file, plan_for, plan_load
from hermes_cli.machine.tuning import Tuned
from tests.conftest import Script

GB = 1_000_000_000
LAYER_BYTES = 136_000_000
# The shape of Hermes 3 8B in Q4_K_M, as in its header.
EIGHT_B = Header(
    {
        "general.architecture": "llama",
        "llama.context_length": 131_072,
        "llama.block_count": 32,
        "llama.embedding_length": 4096,
        "llama.feed_forward_length": 14_336,
        "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 8,
        "llama.vocab_size": 128_256,
    },
    tensor_count=291,
    parameters=8_030_261_312,
    weights_bytes=32 * LAYER_BYTES + 431_000_000 + 296_000_000,
    file_bytes=5 * GB,
    group_bytes={
        **{f"blk.{index}": LAYER_BYTES for index in range(32)},
        "output": 431_000_000,
        "token_embd": 296_000_000,
    },
)


def gpu(free: float, *, shared: bool = False) -> Gpu:
    """A GPU with that many GB free."""
    return Gpu("CUDA0", "a GPU", int(free * GB), int(free * GB), shared)


def machine(memory: float, *gpus: Gpu) -> Machine:
    """A machine with that many GB of free memory."""
    return Machine(int(memory * GB), gpus)


def first(options: LoadOptions, here: Machine, header: Header = EIGHT_B) -> LoadSettings:
    """What is attempted first."""
    return plan_for(header, options, here).attempts[0]


@pytest.mark.parametrize(
    ("here", "layers", "window", "kv_type"),
    [
        (machine(64, gpu(80)), -1, 16384, "f16"),
        (machine(64, gpu(12)), -1, 16384, "f16"),
        (machine(64, gpu(8)), -1, 8192, "f16"),
        (machine(64, gpu(6.3)), -1, 8192, "q8_0"),
        (machine(64, gpu(5.8)), -1, 4096, "q8_0"),
        (machine(64, gpu(4)), 20, 4096, "f16"),
        (machine(64, gpu(4), gpu(4)), -1, 8192, "f16"),
        (machine(64, gpu(0.5)), 0, 8192, "f16"),
        (machine(16, gpu(11, shared=True)), -1, 16384, "f16"),
        (machine(8, gpu(11, shared=True)), -1, 8192, "q8_0"),
        (machine(64), 0, 8192, "f16"),
        (machine(8), 0, 4096, "f16"),
        (machine(7), 0, 4096, "q8_0"),
        (machine(5), 0, 512, "q8_0"),
    ],
)
def test_the_context_shrinks_to_4096_before_layers_leave_the_gpu(
    here: Machine, layers: int, window: int, kv_type: KvType
) -> None:
    chosen = first(LoadOptions(), here)
    assert (chosen.gpu_layers, chosen.context_length, chosen.kv_type) == (layers, window, kv_type)


def test_the_attempts_after_the_first_ask_for_less_and_less() -> None:
    attempts = plan_for(EIGHT_B, LoadOptions(), machine(64, gpu(80))).attempts
    assert len(attempts) < 30
    assert attempts[-1].gpu_layers == 0
    layers = [33 if each.gpu_layers == -1 else each.gpu_layers for each in attempts]
    assert layers == sorted(layers, reverse=True)
    windows = [each.context_length for each in attempts if each.gpu_layers == -1]
    assert windows == sorted(windows, reverse=True) and set(windows) == {16384, 8192, 4096}


def test_a_gpu_that_is_too_full_is_not_used() -> None:
    full, free = replace(gpu(0.7), name="CUDA0"), replace(gpu(12), name="CUDA1")
    chosen = first(LoadOptions(), machine(64, full, free))
    assert (chosen.gpus, chosen.gpu_layers, chosen.context_length) == (("CUDA1",), -1, 16384)
    assert first(LoadOptions(), machine(64, free)).gpus is None
    found = plan_for(EIGHT_B, LoadOptions(gpu_layers=-1), machine(64, full))
    assert (found.attempts[0].gpu_layers, found.notes) == (
        0,
        ("the GPU is not used: too little of its memory is free",),
    )


def test_what_the_user_asked_for_is_not_changed() -> None:
    for options in (
        LoadOptions(context_length=32768),
        LoadOptions(gpu_layers=-1),
        LoadOptions(gpu_layers=10),
        LoadOptions(kv_type="q8_0"),
    ):
        for here in (machine(64, gpu(80)), machine(64, gpu(5))):
            for attempt in plan_for(EIGHT_B, options, here).attempts:
                for name in ("context_length", "gpu_layers", "kv_type"):
                    assert getattr(options, name) in (None, getattr(attempt, name))


def test_a_missing_gpu_that_was_asked_for_is_a_note() -> None:
    found = plan_for(EIGHT_B, LoadOptions(gpu_layers=-1), machine(64))
    assert found.notes == ("the GPU is not used: this build of llama.cpp finds none",)
    assert found.attempts[0].gpu_layers == 0
    assert plan_for(EIGHT_B, LoadOptions(gpu_layers=0), machine(64)).notes == ()


def test_a_gpu_that_is_not_used_is_reported_with_the_reason() -> None:
    broken = replace(machine(64), gpu_fault="killed by SIGSEGV")
    reason = "the GPU is not used: killed by SIGSEGV"
    assert plan_for(EIGHT_B, LoadOptions(), broken).advice == f"{reason}; see: hermes doctor"
    full = "the GPU is not used: too little of its memory is free; see: hermes doctor"
    assert plan_for(EIGHT_B, LoadOptions(), machine(64, gpu(0.7))).advice == full
    assert plan_for(EIGHT_B, LoadOptions(gpu_layers=-1), broken).notes == (reason,)
    for options, here in ((LoadOptions(), machine(64)), (LoadOptions(gpu_layers=0), broken)):
        assert (plan_for(EIGHT_B, options, here).notes, plan_for(EIGHT_B, options, here).advice) == ((), None)


def test_too_little_memory_is_a_note() -> None:
    assert plan_for(EIGHT_B, LoadOptions(), machine(4.5)).notes == (
        "the model is larger than the free memory; it will be slow",
        "memory allows a context of only 512 tokens",
    )


def test_a_model_trained_for_a_short_context_gets_all_of_it(demo_path: Path) -> None:
    header = model_header(demo_path)
    assert first(LoadOptions(), machine(64), header).context_length == 4096
    assert first(LoadOptions(context_length=4096), machine(64), header).context_length == 4096
    with pytest.raises(UsageError, match="--ctx 4097"):
        plan_for(header, LoadOptions(context_length=4097), machine(64))


@pytest.mark.parametrize("trained", [0, 2**31])
def test_an_impossible_context_length_in_the_header_is_an_error(trained: int) -> None:
    header = replace(EIGHT_B, values={**EIGHT_B.values, "llama.context_length": trained})
    with pytest.raises(EngineError, match=f"a context length of {trained:,} tokens"):
        plan_for(header, LoadOptions(), machine(64))


@pytest.mark.parametrize("key", ["block_count", "embedding_length", "attention.head_count", "feed_forward_length"])
@pytest.mark.parametrize("value", [-1, -1000, 0])
def test_impossible_numbers_in_the_header_do_no_harm(key: str, value: int) -> None:
    header = replace(EIGHT_B, values={**EIGHT_B.values, f"llama.{key}": value})
    for here in (machine(64, gpu(80)), machine(64)):
        assert (first(LoadOptions(), here, header).memory_bytes or 0) >= EIGHT_B.weights_bytes


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_too_long_context_is_refused_with_a_hint_that_works(kv_type: KvType) -> None:
    options, here = LoadOptions(context_length=131_072, kv_type=kv_type), machine(12)
    with pytest.raises(OutOfMemory, match="more than is free") as refused:
        plan_for(EIGHT_B, options, here)
    possible = int(refused.value.hint.split("--ctx ")[1].split()[0])
    assert first(replace(options, context_length=possible), here).context_length == possible
    with pytest.raises(OutOfMemory):
        plan_for(EIGHT_B, replace(options, context_length=possible * 6 // 5), here)


def test_a_context_from_a_setting_is_lowered_with_a_note(demo_path: Path) -> None:
    options = LoadOptions(context_length=131_072, context_origin="HERMES_CLI_CTX")
    short = plan_for(model_header(demo_path), options, machine(64))
    assert short.attempts[0].context_length == 4096
    assert short.notes[0] == ("ctx 131072 (in HERMES_CLI_CTX) is more than this model was trained for; using 4,096")
    small = plan_for(EIGHT_B, options, machine(12))
    assert small.attempts[0].context_length == plan_for(EIGHT_B, LoadOptions(), machine(12)).attempts[0].context_length
    assert small.notes[0].startswith("ctx 131072 (in HERMES_CLI_CTX) does not fit into memory; ")
    assert not plan_for(EIGHT_B, replace(options, context_length=4096), machine(64)).notes


def test_if_no_context_fits_the_hint_names_none() -> None:
    with pytest.raises(OutOfMemory) as refused:
        plan_for(EIGHT_B, LoadOptions(context_length=4096), machine(1))
    assert "--ctx" not in refused.value.hint


def test_the_real_machine_has_a_plan_for_the_demo_model(demo_path: Path) -> None:
    chosen = plan_load(demo_path, LoadOptions()).attempts[0]
    assert bool(chosen.gpu_layers) == bool(probe.verdict().gpu)
    on_cpu = plan_load(demo_path, LoadOptions(gpu_layers=0)).attempts[0]
    for each in (chosen, on_cpu):
        assert (each.context_length, each.threads, each.kv_type) == (4096, hardware.physical_cores(), "f16")
    assert on_cpu.adapts_threads
    fixed = plan_load(demo_path, LoadOptions(gpu_layers=0, threads=1)).attempts[0]
    assert (fixed.threads, fixed.adapts_threads) == (1, False)
    assert on_cpu.memory_bytes and on_cpu.memory_bytes < 200_000_000


def test_tuned_settings_are_used_where_they_were_measured(demo_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(demo_path.read_bytes())
    on_cpu = Tuned("copy", 2, "f16", 128, True, False, 1.0, 1.0, 2.0, 2.0, "2026-11-28")
    on_gpu = replace(on_cpu, batch_tokens=1024)
    full, free = machine(64, gpu(0.1)), machine(64, gpu(12))
    try:
        tuning.remember(copy, on_cpu, on_gpu=False)
        tuning.remember(copy, on_gpu, on_gpu=True)
        for options, here, batch in (
            (LoadOptions(), full, 128),
            (LoadOptions(), machine(64), 128),
            (LoadOptions(), free, 1024),
            (LoadOptions(gpu_layers=0), free, 128),
        ):
            assert plan_file(copy, options, here).attempts[0].batch_tokens == batch
        assert plan_file(copy, LoadOptions(), full, use_tuned=False).attempts[0].batch_tokens == CPU_BATCH_TOKENS
    finally:
        tuning.forget(copy)


TUNED = Tuned("8B", 6, "f16", 256, False, False, 1.0, 1.0, 2.0, 2.0, "2026-11-28")


def test_a_tuned_cache_may_become_smaller_where_memory_is_short() -> None:
    for here in (machine(64, gpu(6.3)), machine(7), machine(64)):
        usual = plan_for(EIGHT_B, LoadOptions(), here).attempts
        tuned = plan_for(EIGHT_B, LoadOptions(), here, TUNED).attempts
        facts = [[(each.gpu_layers, each.context_length, each.kv_type) for each in plan] for plan in (usual, tuned)]
        assert facts[0] == facts[1]
    small = plan_for(EIGHT_B, LoadOptions(), machine(64), replace(TUNED, kv_type="q8_0")).attempts
    assert {each.kv_type for each in small} == {"q8_0"}


@pytest.mark.parametrize(("most", "used"), [(8, 6), (6, 6), (5, 4)])
def test_tuned_threads_are_used_where_so_many_can_run(most: int, used: int) -> None:
    here = replace(machine(64), cores=4, most_threads=most)
    assert plan_for(EIGHT_B, LoadOptions(), here, TUNED).attempts[0].threads == used


def test_a_file_with_an_unreadable_header_is_left_to_llama_cpp(tmp_path: Path) -> None:
    strange = tmp_path / "strange.gguf"
    strange.write_bytes(b"GGUF" + bytes(60))
    for asked, here, layers in ((None, machine(9), 0), (-1, machine(9), 0), (-1, machine(9, gpu(9)), -1)):
        (attempt,) = plan_file(strange, LoadOptions(gpu_layers=asked), here).attempts
        assert attempt.gpu_layers == layers


def test_if_memory_is_short_the_next_attempt_is_made_and_noted(script: Script, demo_path: Path) -> None:
    code = """
    import resource, sys
    from pathlib import Path
    from hermes_cli.engine.local import LoadSettings, open_backend
    from hermes_cli.errors import OutOfMemory
    long, short = LoadSettings(context_length=1 << 20), LoadSettings(context_length=512)
    with open_backend(Path(sys.argv[1]), short):
        pass
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    with open_backend(Path(sys.argv[1]), long, short) as backend:
        print(backend.info.context_length, *backend.info.notes)
    try:
        open_backend(Path(sys.argv[1]), long)
    except OutOfMemory as problem:
        print(problem.message)
    """
    result = script(code, demo_path)
    noted, refused = result.out.decode().splitlines()
    assert noted.startswith("512 memory is short (cannot allocate a context of 1,048,576 tokens: ")
    assert noted.endswith("): using a context of 512 tokens, a KV cache of type f16 and the CPU alone instead")
    assert refused.startswith("cannot allocate a context of 1,048,576 tokens: ")
    assert (result.code, result.err) == (0, "")
