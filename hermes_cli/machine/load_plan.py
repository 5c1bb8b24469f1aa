"""How to open a model on this machine: what memory allows of the window, the cache and the layers on GPUs.

A plan is a list of attempts, the best first: estimates leave out what cannot work, and where memory turns out to be
shorter than it seemed, the engine goes on with the next. What the user asked for by number is never changed, but for
layers on a GPU where there is none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hermes_cli.engine import hardware
from hermes_cli.engine.llama.devices import Gpu, gpus
from hermes_cli.engine.llama.model import KvType
from hermes_cli.engine.load_options import COMFORT_TOKENS, GPU_SPARE_BYTES, LoadOptions
from hermes_cli.engine.loading import decided
from hermes_cli.errors import EngineError, ModelNotFound, OutOfMemory, UsageError
from hermes_cli.gguf.file import model_header
from hermes_cli.gguf.header import Header
from hermes_cli.machine import probe, tuning
from hermes_cli.machine.builds import unused_gpu
from hermes_cli.machine.memory_plan import ALL_LAYERS, MemoryPlan, layer_count, plan

FLOOR_TOKENS = 4096  # before the window gets shorter than this, layers leave the GPU
_WINDOWS = (16384, COMFORT_TOKENS, FLOOR_TOKENS, 2048, 1024, 512)
_SHARE = 0.8
_LONG_SHARE = 0.25  # of a GPU's room for the cache of a window beyond comfort
_MOST_LAYERS = 1000


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to run a model on; no GPUs where this build cannot use them."""

    free_bytes: int
    gpus: tuple[Gpu, ...] = ()
    may_repack: bool = False  # whether repacked weights work here
    gpu_fault: str = ""  # why those that are there are not used


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to attempt, in this order, and what the user should know."""

    attempts: tuple[LoadOptions, ...]
    notes: tuple[str, ...] = ()
    advice: str | None = None  # how it would be faster


def plan_load(
    path: Path, wishes: LoadOptions, may_continue: Callable[[], bool] = lambda: True, *, use_tuned: bool = True
) -> LoadPlan:
    """The plan for a file here, with the settings that were measured to be best, or without.

    Raises UsageError, EngineError; LoadCancelled as soon as `may_continue` says no.
    """
    found = plan_file(path, wishes, this_machine(may_continue), use_tuned=use_tuned)
    unused = unused_gpu() if wishes.gpu_layers is None else None
    return replace(found, advice=": ".join(unused)) if unused else found


def plan_file(path: Path, wishes: LoadOptions, machine: Machine, *, use_tuned: bool = True) -> LoadPlan:
    """The plan for a file on that machine. Raises UsageError, EngineError."""
    try:
        header = model_header(path)
    except ModelNotFound:  # llama.cpp, which knows more kinds of files, has the last word
        return LoadPlan((replace(wishes, gpu_layers=wishes.gpu_layers if machine.gpus else 0),))
    repacked = machine.may_repack and hardware.gains_from_repacking()
    found = plan_for(header, replace(wishes, extra_buffers=repacked), machine)
    on_gpu = bool(found.attempts[0].gpu_layers)
    measured = tuning.remembered(path, on_gpu=on_gpu) if use_tuned else None
    return plan_for(header, tuned(wishes, measured, machine), machine) if measured else found


def this_machine(may_continue: Callable[[], bool] = lambda: True) -> Machine:
    """What is free here, and what was proved to work. Raises EngineError, LoadCancelled."""
    proved = probe.current_verdict(may_continue)
    return Machine(
        hardware.available_bytes(),
        gpus() if proved.gpu else (),
        proved.extra_buffers,
        proved.failures.get("gpu", ""),
    )


def tuned(wishes: LoadOptions, found: tuning.Tuned, machine: Machine) -> LoadOptions:
    """The wishes with what was measured to be best for this model where they leave something open."""
    return replace(
        wishes,
        threads=wishes.threads or found.threads,
        kv_type=wishes.kv_type or found.kv_type,
        batch_tokens=found.batch_tokens,
        flash_attention=found.flash_attention,
        extra_buffers=found.extra_buffers and machine.may_repack,
    )


def plan_for(header: Header, wishes: LoadOptions, machine: Machine) -> LoadPlan:
    """The plan for a model with this header. Raises UsageError, EngineError."""
    _check_window(header, wishes.context_length)
    worth = tuple(gpu for gpu in machine.gpus if _is_worth_using(header, gpu))
    if worth != machine.gpus:
        # llama.cpp gives each a share by what it has free, and fails where one cannot hold its buffers.
        wishes = replace(wishes, gpus=tuple(gpu.name for gpu in worth))
        machine = replace(machine, gpus=worth, gpu_fault="too little of its memory is free")
    notes, advice = [], None
    if not machine.gpus and wishes.gpu_layers:
        notes.append(f"the GPU is not used: {machine.gpu_fault or 'this build of llama.cpp finds none'}")
    if not machine.gpus and wishes.gpu_layers is None and machine.gpu_fault:
        advice = f"the GPU is not used: {machine.gpu_fault}; see: hermes doctor"
    every = [_attempt(header, wishes, machine, *choice) for choice in _choices(header, wishes, machine)]
    fitting = [options for options, memory in every if _fits(memory, machine, wishes.context_length is not None)]
    on_gpu = bool(every[-1][0].gpu_layers)  # as it was asked for, and nowhere else
    if not fitting and wishes.context_length and not on_gpu:
        raise _too_long(header, wishes, machine, *every[-1])
    attempts = _thinned(fitting or [options for options, _ in (every if on_gpu else every[-1:])])
    if not machine.gpus and header.weights_bytes > machine.free_bytes:
        notes.append("the model is larger than the free memory; it will be slow")
    window = attempts[0].context_length or 0
    if wishes.context_length is None and window < min(_trained(header), FLOOR_TOKENS):
        notes.append(f"a window of {window:,} tokens is all that memory allows")
    return LoadPlan(tuple(attempts), tuple(notes), advice)


def _is_worth_using(header: Header, gpu: Gpu) -> bool:
    """Whether a GPU holds the buffers to compute in, and some layers."""
    memory = plan(header, FLOOR_TOKENS, gpu_layers=ALL_LAYERS)
    return gpu.free_bytes >= GPU_SPARE_BYTES + memory.compute_bytes + 2 * memory.weights_bytes // memory.gpu_layers


_Choice = tuple[int, int, KvType]


def _choices(header: Header, wishes: LoadOptions, machine: Machine) -> Iterator[_Choice]:
    """Layers on the GPU, window and cache, the best first: a GPU with all layers, with some, the CPU."""
    kv_types: tuple[KvType, ...] = (wishes.kv_type,) if wishes.kv_type else ("f16", "q8_0")
    windows = (wishes.context_length,) if wishes.context_length else _windows(header)
    floor = wishes.context_length or min(FLOOR_TOKENS, windows[0])
    asked = wishes.gpu_layers if machine.gpus else 0
    if asked is None or asked:
        least = floor if asked is None else 0
        for window in (each for each in windows if each >= least):
            long = window > COMFORT_TOKENS and not wishes.context_length  # a nicety, not worth a coarser cache
            yield from ((asked or ALL_LAYERS, window, kv) for kv in (kv_types[:1] if long else kv_types))
    if asked is None:
        for layers in range(min(layer_count(header), _MOST_LAYERS) - 1, 0, -1):
            yield layers, floor, kv_types[0]
    if not asked:
        # All of the cache is written once while it is made, so on a CPU a long window costs seconds of loading.
        for window in (each for each in windows if each <= COMFORT_TOKENS or wishes.context_length):
            # A quantised cache needs flash attention, which is slow on a CPU: only for a window worth having.
            yield from ((0, window, kv) for kv in kv_types if kv == kv_types[0] or window <= floor)


def _attempt(
    header: Header, wishes: LoadOptions, machine: Machine, layers: int, window: int, kv_type: KvType
) -> tuple[LoadOptions, MemoryPlan]:
    chosen = replace(wishes, gpu_layers=layers, context_length=window, kv_type=kv_type)
    options = decided(chosen, header.weights_bytes, window)
    memory = plan(
        header,
        window,
        kv_type,
        flash_attention=options.flash_attention,
        batch_tokens=options.batch_tokens,
        gpu_layers=layers,
        gpu_count=max(len(machine.gpus), 1),
    )
    return replace(options, memory_bytes=memory.total_bytes), memory


def _fits(memory: MemoryPlan, machine: Machine, window_is_asked: bool) -> bool:
    """Whether there is room; the cache of a long window that nobody asked for must also take little of it."""
    devices = machine.gpus if memory.gpu_bytes else ()
    # Whole layers go to each device, so all but one may be left with the room for a part of a layer.
    uneven = memory.weights_bytes // max(memory.gpu_layers, 1) * (len(devices) - 1)
    gpu_room = sum(gpu.free_bytes - GPU_SPARE_BYTES for gpu in devices) - uneven
    room = machine.free_bytes * _SHARE
    if not devices:
        return memory.total_bytes <= room
    is_long = memory.context_length > COMFORT_TOKENS and not window_is_asked
    if memory.gpu_bytes > gpu_room or (is_long and memory.kv_bytes > gpu_room * _LONG_SHARE):
        return False
    shared = any(gpu.shared for gpu in devices)
    return (memory.total_bytes if shared else memory.host_bytes - memory.mapped_bytes) <= room


def _thinned(attempts: list[LoadOptions]) -> list[LoadOptions]:
    """Of attempts that differ by single layers only some: each costs a load."""
    kept: list[LoadOptions] = []
    for options in attempts:
        layers = options.gpu_layers or 0
        last = kept[-1].gpu_layers or 0 if kept else 0
        if layers <= 0 or last <= 0 or layers <= last * 3 // 4:
            kept.append(options)
    return kept


def _windows(header: Header) -> tuple[int, ...]:
    trained = _trained(header)
    shorter = tuple(window for window in _WINDOWS if window < trained)
    return (trained, *shorter) if trained <= _WINDOWS[0] else shorter


def _trained(header: Header) -> int:
    trained = header.own("context_length")
    return FLOOR_TOKENS if trained is None else trained


def _check_window(header: Header, wanted: int | None) -> None:
    trained = _trained(header)
    if not 1 <= trained < 2**31:
        raise EngineError(f"the model's header gives a window of {trained:,} tokens", "download the model again")
    if wanted and wanted > trained:
        raise UsageError(f"--ctx {wanted} is more than this model was trained for", f"use --ctx {trained} or less")


def _too_long(
    header: Header, wishes: LoadOptions, machine: Machine, refused: LoadOptions, memory: MemoryPlan
) -> OutOfMemory:
    """The error for a window that was asked for and cannot be; the hint names the longest that can."""
    assert refused.context_length and refused.kv_type
    possible, impossible = 0, -(-refused.context_length // 256)  # in steps of 256, as llama.cpp rounds
    while impossible - possible > 1:
        middle = (possible + impossible) // 2
        _, smaller = _attempt(header, wishes, machine, 0, middle * 256, refused.kv_type)
        possible, impossible = (middle, impossible) if _fits(smaller, machine, True) else (possible, middle)
    hint = f"use --ctx {possible * 256} or less{', or --kv-type q8_0' if refused.kv_type == 'f16' else ''}"
    beside = memory.total_bytes - memory.weights_bytes
    return OutOfMemory(
        f"{refused.context_length:,} tokens need {beside / 1e9:.1f} GB beside the model, more than is free here",
        hint if possible * 256 >= _WINDOWS[-1] else "close other programs or take a smaller model",
    )
