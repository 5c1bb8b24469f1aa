"""How to open a model on this machine: context length, KV cache and GPU layers that fit into memory.

A plan is a list of attempts, the best first. Estimates leave out what cannot work; if memory turns out to be shorter
than estimated, the engine tries the next attempt. Values set by the user are never changed, except layers on a GPU
if there is none.
"""

from collections.abc import Callable, Iterator
from dataclasses import field, replace
from pathlib import Path

from hermes_cli.engine import hardware
from hermes_cli.engine.llama.devices import Gpu, gpus
from hermes_cli.engine.load_options import (
    ALL_LAYERS,
    CPU_BATCH_TOKENS,
    DRAFT_ROWS,
    GPU_BATCH_TOKENS,
    LoadOptions,
    LoadSettings,
)
from hermes_cli.errors import ModelNotFound, OutOfMemory
from hermes_cli.gguf.adapter import with_adapters
from hermes_cli.gguf.file import CutShort, model_header
from hermes_cli.gguf.header import Header
from hermes_cli.kv_types import UNQUANTISED, KvType
from hermes_cli.machine import probe, tuning
from hermes_cli.machine.builds import unused_gpu
from hermes_cli.machine.context_lengths import (
    LEAST_TOKENS,
    LENGTHS,
    USUAL_TOKENS,
    check_length,
    lengths_to_try,
    trained_length,
)
from hermes_cli.machine.memory_plan import GPU_SPARE_BYTES, MemoryPlan, estimate, fits, layer_count
from hermes_cli.machine.tuning import Tuned
from hermes_cli.values import dataclass

_LONG_SHARE = 0.25  # of a GPU's free memory, for the cache of a context longer than usual
_MOST_LAYERS = 1000


@dataclass(frozen=True, slots=True)
class Machine:
    """The hardware to run a model on; no GPUs if this build cannot use them."""

    free_bytes: int
    gpus: tuple[Gpu, ...] = ()
    may_repack: bool = False  # repacked weights work here
    gpu_fault: str = ""  # why the GPUs that exist are not used
    cores: int = field(default_factory=hardware.physical_cores)
    most_threads: int = field(default_factory=hardware.logical_cores)
    gains_from_repacking: bool = field(default_factory=hardware.gains_from_repacking)


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """The settings to attempt, in this order, and what the user should know."""

    attempts: tuple[LoadSettings, ...]
    notes: tuple[str, ...] = ()
    advice: str | None = None  # how the model would be faster


def plan_load(
    path: Path, options: LoadOptions, may_continue: Callable[[], bool] = lambda: True, *, use_tuned: bool = True
) -> LoadPlan:
    """The plan for a file on this machine; `use_tuned`: with the settings that `bench --tune` found.

    Raises UsageError, EngineError; LoadCancelled as soon as `may_continue` returns False.
    """
    found = plan_file(path, options, this_machine(may_continue), use_tuned=use_tuned)
    unused = unused_gpu() if options.gpu_layers is None else None
    return replace(found, advice=": ".join(unused)) if unused else found


def plan_file(path: Path, options: LoadOptions, machine: Machine, *, use_tuned: bool = True) -> LoadPlan:
    """The plan for a file on that machine. Raises UsageError, EngineError, CutShort."""
    try:
        header = with_adapters(model_header(path), [model_header(adapter.path) for adapter in options.adapters])
    except CutShort:
        raise
    except ModelNotFound:  # llama.cpp may know this kind of file
        return LoadPlan((_unplanned(options, machine),))
    found = plan_for(header, options, machine)
    on_gpu = bool(found.attempts[0].gpu_layers)
    tuned = tuning.remembered(path, on_gpu=on_gpu) if use_tuned else None
    return plan_for(header, options, machine, tuned) if tuned else found


def this_machine(may_continue: Callable[[], bool] = lambda: True) -> Machine:
    """The free memory, and the features that passed the probe. Raises EngineError, LoadCancelled."""
    proved = probe.current_verdict(may_continue)
    return Machine(
        hardware.available_bytes(),
        gpus() if proved.gpu else (),
        proved.extra_buffers,
        proved.failures.get("gpu", ""),
    )


def plan_for(header: Header, options: LoadOptions, machine: Machine, tuned: Tuned | None = None) -> LoadPlan:
    """The plan for a model with this header. Raises UsageError, EngineError.

    A context length that comes from a setting and cannot be is lowered, with a note; one from an option is refused.
    """
    wanted, origin = options.context_length, options.context_origin
    if not wanted or not origin:
        return _plan_for(header, options, machine, tuned)
    trained = trained_length(header)
    try:
        found = _plan_for(header, replace(options, context_length=min(wanted, trained)), machine, tuned)
        why = "is more than this model was trained for"
    except OutOfMemory:
        found = _plan_for(header, replace(options, context_length=None), machine, tuned)
        why = "does not fit into memory"
    length = found.attempts[0].context_length
    note = f"ctx {wanted} (in {origin}) {why}; using {length:,}"
    return replace(found, notes=(note, *found.notes)) if length < wanted else found


def _plan_for(header: Header, options: LoadOptions, machine: Machine, tuned: Tuned | None) -> LoadPlan:
    check_length(header, options.context_length)
    devices: tuple[str, ...] | None = None
    usable = tuple(gpu for gpu in machine.gpus if _is_usable(header, gpu))
    if usable != machine.gpus:
        # llama.cpp gives each a share by what it has free, and fails where one cannot hold its buffers.
        devices = tuple(gpu.name for gpu in usable)
        machine = replace(machine, gpus=usable, gpu_fault="too little of its memory is free")
    planner = _Planner(header, options, machine, tuned, devices)
    attempts = planner.attempts()
    notes, advice = [], None
    if not machine.gpus and options.gpu_layers:
        notes.append(f"the GPU is not used: {machine.gpu_fault or 'this build of llama.cpp finds none'}")
    if not machine.gpus and options.gpu_layers is None and machine.gpu_fault:
        advice = f"the GPU is not used: {machine.gpu_fault}; see: hermes doctor"
    if not machine.gpus and header.weights_bytes > machine.free_bytes:
        notes.append("the model is larger than the free memory; it will be slow")
    length = attempts[0].context_length
    if options.context_length is None and length < min(trained_length(header), LEAST_TOKENS):
        notes.append(f"memory allows a context of only {length:,} tokens")
    return LoadPlan(tuple(attempts), tuple(notes), advice)


def _unplanned(options: LoadOptions, machine: Machine) -> LoadSettings:
    """Settings for a file whose header cannot be read."""
    layers = (options.gpu_layers or 0) if machine.gpus else 0
    kv_type = options.kv_type or "f16"
    return LoadSettings(
        context_length=options.context_length or LEAST_TOKENS,
        gpu_layers=layers,
        kv_type=kv_type,
        threads=options.threads or machine.cores,
        adapts_threads=options.threads is None,
        batch_tokens=GPU_BATCH_TOKENS if layers else CPU_BATCH_TOKENS,
        flash_attention=None if layers or kv_type not in UNQUANTISED else False,
        template=options.template,
        kv_store_bytes=options.kv_store_bytes,
        adapters=options.adapters,
    )


def _is_usable(header: Header, gpu: Gpu) -> bool:
    """Whether a GPU can hold the compute buffers and some layers."""
    memory = estimate(header, LoadSettings(gpu_layers=ALL_LAYERS, batch_tokens=GPU_BATCH_TOKENS, flash_attention=None))
    return gpu.free_bytes >= GPU_SPARE_BYTES + memory.compute_bytes + 2 * memory.weights_bytes // memory.gpu_layers


_Choice = tuple[int, int, KvType]


class _Planner:
    """The attempts for one model on one machine; `devices` names the GPUs to use, None is all of them."""

    def __init__(
        self,
        header: Header,
        options: LoadOptions,
        machine: Machine,
        tuned: Tuned | None,
        devices: tuple[str, ...] | None,
    ) -> None:
        self._header, self._options, self._machine = header, options, machine
        self._tuned, self._devices = tuned, devices

    def attempts(self) -> list[LoadSettings]:
        """The settings that fit, the best first. Raises OutOfMemory for a context length that cannot fit."""
        every = [self._settings(*choice) for choice in self._choices()]
        fitting = [settings for settings, memory in every if self._fits(memory)]
        last, memory = every[-1]
        on_gpu = bool(last.gpu_layers)  # the user set the layers: try nothing else
        if not fitting and self._options.context_length and not on_gpu:
            raise self._too_long(last, memory)
        return _thinned(fitting or [settings for settings, _ in (every if on_gpu else every[-1:])])

    def _choices(self) -> Iterator[_Choice]:
        """Layers on the GPU, context length and cache, the best first: all layers on a GPU, some, the CPU."""
        options, header = self._options, self._header
        kv_types = self._kv_types()
        lengths = (options.context_length,) if options.context_length else lengths_to_try(header)
        least = options.context_length or min(LEAST_TOKENS, lengths[0])
        asked = options.gpu_layers if self._machine.gpus else 0
        if asked is None or asked:
            for length in lengths:
                if asked is not None or length >= least:
                    # A longer context than usual is not worth a less precise cache.
                    long = length > USUAL_TOKENS and not options.context_length
                    yield from ((asked or ALL_LAYERS, length, kv) for kv in (kv_types[:1] if long else kv_types))
        if asked is None:
            for layers in range(min(layer_count(header), _MOST_LAYERS) - 1, 0, -1):
                yield layers, least, kv_types[0]
        if not asked:
            yield from self._cpu_choices(kv_types, lengths, least)

    def _threads(self) -> int:
        """As many as were tuned, unless this process may use fewer cores than that one."""
        tuned = self._tuned.threads if self._tuned else 0
        return tuned if 0 < tuned <= self._machine.most_threads else self._machine.cores

    def _kv_types(self) -> tuple[KvType, ...]:
        """The types of the cache to try: a smaller one too, unless the user chose one."""
        if self._options.kv_type:
            return (self._options.kv_type,)
        first = self._tuned.kv_type if self._tuned else "f16"
        return (first, "q8_0") if first in UNQUANTISED else (first,)

    def _cpu_choices(self, kv_types: tuple[KvType, ...], lengths: tuple[int, ...], least: int) -> Iterator[_Choice]:
        for length in lengths:
            # All of the cache is written once while it is made, so a long context costs seconds of loading.
            if length <= USUAL_TOKENS or self._options.context_length:
                # A quantised cache needs flash attention, slow on a CPU: only where memory is short.
                yield from ((0, length, kv) for kv in kv_types if kv == kv_types[0] or length <= least)

    def _settings(self, layers: int, length: int, kv_type: KvType) -> tuple[LoadSettings, MemoryPlan]:
        """Everything decided for one choice, and the memory it takes."""
        options, machine, tuned = self._options, self._machine, self._tuned
        flash = tuned.flash_attention if tuned else None
        if flash is None and not layers:
            flash = False  # on a CPU it slowed decoding at every measured depth
        settings = LoadSettings(
            context_length=length,
            gpu_layers=layers,
            kv_type=kv_type,
            threads=options.threads or self._threads(),
            adapts_threads=options.threads is None and layers != ALL_LAYERS,
            batch_tokens=tuned.batch_tokens if tuned else GPU_BATCH_TOKENS if layers else CPU_BATCH_TOKENS,
            flash_attention=flash if kv_type in UNQUANTISED else None,
            extra_buffers=machine.may_repack and (tuned.extra_buffers if tuned else machine.gains_from_repacking),
            gpus=self._devices,
            template=options.template,
            device_sampling=layers == ALL_LAYERS or layers >= layer_count(self._header),
            kv_store_bytes=options.kv_store_bytes,
            scored_tokens=DRAFT_ROWS if options.speculate else 1,
            speculates=options.speculate,
            adapters=options.adapters,
        )
        memory = estimate(self._header, settings, max(len(machine.gpus), 1))
        return replace(settings, memory_bytes=memory.total_bytes), memory

    def _fits(self, memory: MemoryPlan) -> bool:
        """Whether there is room; the cache of a long context by default must also take little of it."""
        devices = self._machine.gpus if memory.gpu_bytes else ()
        if not devices:
            return fits(memory.total_bytes, self._machine.free_bytes)
        # Whole layers go to each device, so all but one may be left with room for a part of a layer.
        uneven = memory.weights_bytes // max(memory.gpu_layers, 1) * (len(devices) - 1)
        gpu_room = sum(gpu.free_bytes - GPU_SPARE_BYTES for gpu in devices) - uneven
        is_long = memory.context_length > USUAL_TOKENS and not self._options.context_length
        if memory.gpu_bytes > gpu_room or (is_long and memory.kv_bytes > gpu_room * _LONG_SHARE):
            return False
        shared = any(gpu.shared for gpu in devices)
        host_bytes = memory.total_bytes if shared else memory.host_bytes - memory.mapped_bytes
        return fits(host_bytes, self._machine.free_bytes)

    def _too_long(self, refused: LoadSettings, memory: MemoryPlan) -> OutOfMemory:
        """The error for a context length that does not fit; the hint gives the longest possible one."""
        possible, impossible = 0, -(-refused.context_length // 256)  # in steps of 256, as llama.cpp rounds
        while impossible - possible > 1:
            middle = (possible + impossible) // 2
            _, smaller = self._settings(0, middle * 256, refused.kv_type)
            possible, impossible = (middle, impossible) if self._fits(smaller) else (possible, middle)
        hint = f"use --ctx {possible * 256} or less{', or --kv-type q8_0' if refused.kv_type in UNQUANTISED else ''}"
        beside = memory.total_bytes - memory.weights_bytes
        return OutOfMemory(
            f"{refused.context_length:,} tokens need {beside / 1e9:.1f} GB in addition to the model, more than is free",
            hint if possible * 256 >= LENGTHS[-1] else "close other programs or use a smaller model",
        )


def _thinned(attempts: list[LoadSettings]) -> list[LoadSettings]:
    """Only some of the attempts that differ by single layers: each costs a load."""
    kept: list[LoadSettings] = []
    for settings in attempts:
        layers = settings.gpu_layers
        last = kept[-1].gpu_layers if kept else 0
        if layers <= 0 or last <= 0 or layers <= last * 3 // 4:
            kept.append(settings)
    return kept
