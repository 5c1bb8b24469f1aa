"""The KV cache of a model, decoding and sampling; one thread uses a context at a time.

Calls that would abort the process raise ValueError: a batch above `batch_size`, sampling without logits.
"""

import ctypes
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.llama.sampler import Sampler
from hermes_cli.errors import EngineError, OutOfMemory
from hermes_cli.kv_types import KvType

_KV_TYPES: dict[KvType, int] = {
    "f32": 0,
    "f16": 1,
    "bf16": 30,
    "q8_0": 8,
    "q5_1": 7,
    "q5_0": 6,
    "q4_1": 3,
    "q4_0": 2,
    "iq4_nl": 20,
}
_FLASH_ATTENTION = {None: -1, False: 0, True: 1}
_NO_SLOT, _ABORTED = 1, 2
_SEQUENCE = 0
_WARM_UP_TOKENS = 32


class DecodeAborted(Exception):
    """`Context.abort` was set: the work stopped between two graph nodes."""


class Context:
    """The KV cache of one conversation and the means to extend it."""

    def __init__(
        self,
        model: Model,
        *,
        context_length: int,
        batch_size: int,
        threads: int,
        kv_type: KvType = "f16",
        flash_attention: bool | None = None,
        scored_tokens: int = 1,
    ) -> None:
        """Allocate the cache for `context_length` tokens; `flash_attention` None lets llama.cpp choose.

        `scored_tokens` is how many tokens `decode_scored` takes; each costs the memory of a vocabulary of floats.
        """
        self._llama = llama = library.bindings()
        self._flag = ctypes.create_string_buffer(2)
        params = llama.llama_context_default_params()
        params.n_ctx = context_length
        params.n_batch = params.n_ubatch = batch_size
        params.n_outputs_max = params.n_outputs_max_per_seq = scored_tokens
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = _KV_TYPES[kv_type]
        params.flash_attn_type = _FLASH_ATTENTION[flash_attention]
        params.no_perf = True
        params.abort_callback = _flag_test()
        params.abort_callback_data = ctypes.addressof(self._flag)
        library.clear_log()
        self._ctx = llama.llama_init_from_model(model.handle, params)
        if not self._ctx:
            reason = library.failure_reason()
            kind = OutOfMemory if library.is_out_of_memory(reason) else EngineError
            raise kind(
                f"cannot allocate a context of {context_length:,} tokens: {reason}",
                "use a shorter one with --ctx, or fewer --gpu-layers",
            )
        self._candidates = 0  # that the device selects; 0: all tokens
        self._selector: Sampler | None = None
        self._apply(model.adapters)
        self._memory = llama.llama_get_memory(self._ctx)
        # llama.cpp rounds up to a multiple of 256.
        allocated = int(llama.llama_n_ctx(self._ctx))
        self.context_length = min(context_length, allocated)
        # The cached values of the same tokens may depend on this.
        self.is_long = allocated > model.short_context_length
        self.batch_size = int(llama.llama_n_batch(self._ctx))
        # The state of sliding-window layers holds only the last tokens: it cannot be cut back.
        self.state_is_whole = llama.llama_model_n_swa(model.handle) == 0
        self._has_logits = False
        self._row = -1  # of the last batch: where tokens are sampled
        self._vocab_size = model.vocab_size
        self.scored_tokens = scored_tokens
        self._one = (ctypes.c_int32 * 1)()
        self._single = llama.llama_batch_get_one(self._one, 1)

    def _apply(self, adapters: Sequence[tuple[Any, float]]) -> None:
        """Use LoRA adapters, given with their scales, in every decode."""
        if not adapters:
            return
        count = len(adapters)
        handles = (self._llama.llama_adapter_lora_p_ctypes * count)(*(handle for handle, _ in adapters))
        scales = (ctypes.c_float * count)(*(scale for _, scale in adapters))
        if self._llama.llama_set_adapters_lora(self._ctx, handles, count, scales):
            self.close()
            raise EngineError("llama.cpp refused the LoRA adapters", "answer without them: --lora none")

    def close(self) -> None:
        """Free the cache; call before closing the model."""
        if self._ctx:
            self._llama.llama_free(self._ctx)
            self._ctx = None
        if self._selector:
            self._selector.close()

    def set_threads(self, count: int) -> None:
        """Use this many threads from the next decode on."""
        self._llama.llama_set_n_threads(self._ctx, count, count)

    def warm_up(self) -> None:
        """Decode a prompt and some tokens and forget them: a GPU prepares its kernels then. Raises EngineError."""
        for count in (_WARM_UP_TOKENS, 1, 1, 1):
            self.decode((0,) * min(count, self.batch_size))
            self.check_numbers()
        self.keep(0)

    def abort(self) -> None:
        """Stop the running or the next decode; safe from any thread and from signal handlers."""
        self._flag[0] = b"\x01"

    def allow(self) -> None:
        """Undo an earlier `abort`."""
        self._flag[0] = b"\x00"

    def position(self) -> int:
        """How many tokens the KV cache holds."""
        return int(self._llama.llama_memory_seq_pos_max(self._memory, _SEQUENCE)) + 1

    def keep(self, count: int) -> int:
        """Drop everything after the first `count` tokens; returns how many remain: recurrent models cannot go back."""
        self._has_logits = False
        count = min(count, self.position())
        if count and self._llama.llama_memory_seq_rm(self._memory, _SEQUENCE, count, -1):
            return count
        self._llama.llama_memory_clear(self._memory, False)
        return 0

    def state_bytes(self) -> int:
        """The size of what `state` returns."""
        return int(self._llama.llama_state_seq_get_size(self._ctx, _SEQUENCE))

    def state(self) -> bytearray | None:
        """The state of the KV cache, for `restore`; None if llama.cpp returns less than it announced."""
        state = bytearray(self.state_bytes())
        written = self._llama.llama_state_seq_get_data(self._ctx, _bytes_of(state), len(state), _SEQUENCE)
        return state if written == len(state) > 0 else None

    def restore(self, state: bytearray, count: int) -> bool:
        """Replace the content of the cache by a `state` of `count` tokens; if that fails, empty it and return False.

        It must come unchanged from a context of the same model and settings: llama.cpp aborts on what is cut short.
        """
        self._has_logits = False
        self._llama.llama_memory_clear(self._memory, False)
        read = self._llama.llama_state_seq_set_data(self._ctx, _bytes_of(state), len(state), _SEQUENCE)
        if read == len(state) and self.position() == count:
            return True
        library.clear_log()
        self._llama.llama_memory_clear(self._memory, False)
        return False

    def decode(self, tokens: Sequence[int]) -> None:
        """Decode `tokens`, at most `batch_size`, after those in the cache. Raises DecodeAborted, EngineError."""
        if len(tokens) == 1:
            self._one[0] = tokens[0]
            self._finish(self._llama.llama_decode(self._ctx, self._single))
        elif 1 < len(tokens) <= self.batch_size:
            array = (ctypes.c_int32 * len(tokens))(*tokens)
            self._finish(self._llama.llama_decode(self._ctx, self._llama.llama_batch_get_one(array, len(tokens))))
        else:
            raise ValueError(f"a batch has 1 to {self.batch_size} tokens, not {len(tokens)}")

    def decode_scored(self, tokens: Sequence[int]) -> None:
        """As `decode`, with logits for every token: at most `scored_tokens` of them. Sampling begins at the first."""
        if not 1 <= len(tokens) <= min(self.scored_tokens, self.batch_size):
            raise ValueError(f"a scored batch has 1 to {self.scored_tokens} tokens, not {len(tokens)}")
        array, wanted = (ctypes.c_int32 * len(tokens))(*tokens), (ctypes.c_int8 * len(tokens))(*([1] * len(tokens)))
        batch = self._llama.llama_batch_get_one(array, len(tokens))
        batch.logits = wanted
        self._finish(self._llama.llama_decode(self._ctx, batch), row=0)

    def next_row(self) -> None:
        """Sample after the next token of a scored batch."""
        self._row += 1

    def _finish(self, code: int, row: int = -1) -> None:
        self._has_logits, self._row = code == 0, row
        if code == _ABORTED:
            library.clear_log()  # it says that the decode failed, which must not be the reason of a later failure
            raise DecodeAborted
        if code == _NO_SLOT:
            raise EngineError("the context is full", "use a longer one with --ctx")
        if code:
            reason = library.failure_reason()
            library.clear_log()
            raise EngineError(f"llama.cpp failed to decode ({code}): {reason}", "see what is wrong: hermes doctor")

    def check_numbers(self) -> None:
        """Wait for the last decode; raise EngineError if it gave NaN: then the weights are damaged."""
        llama = self._llama
        read = llama.llama_get_sampled_logits_ith if self._candidates else llama.llama_get_logits_ith
        logits = read(self._ctx, -1) if self._has_logits else None
        if logits and math.isnan(logits[0]):
            raise EngineError(
                "the model produces NaN instead of numbers: its file is damaged", "download it again: hermes pull"
            )

    def select_candidates(self, count: int) -> None:
        """Let the device that computes the logits select the `count` likeliest tokens for `sample`; 0 for all of them.

        With a selection there are no `logits`. A change costs the time of some five tokens at the next decode.
        """
        count = min(count, self._vocab_size)
        if count == self._candidates:
            return
        selector = Sampler([("top_k", (count,))]) if count else None
        done = self._llama.llama_set_sampler(self._ctx, _SEQUENCE, selector.handle if selector else None)
        if self._selector:
            self._selector.close()
        # llama.cpp refuses it for some ways to split a model.
        self._selector, self._candidates = selector, count if done else 0
        self._has_logits = False

    def sample(self, sampler: Sampler) -> int:
        """Choose the token that follows the last one decoded, and count it in the sampler's own memory.

        After `decode_scored` it follows the first token of the batch, or the one that `next_row` has moved on to.
        """
        if not self._has_logits:
            raise ValueError("nothing was decoded since the cache last changed")
        return int(self._llama.llama_sampler_sample(sampler.handle, self._ctx, self._row))

    def all_logits(self, row: int | None = None) -> "memoryview[float]":
        """The logits over the whole vocabulary, as floats, valid until the next decode.

        `row` is a token of a scored batch; by default they are those that `sample` uses.
        """
        self._require_logits()
        row = self._row if row is None else row
        address = ctypes.addressof(self._llama.llama_get_logits_ith(self._ctx, row).contents)
        return memoryview((ctypes.c_float * self._vocab_size).from_address(address)).cast("B").cast("f")

    def logits(self, tokens: Sequence[int]) -> list[float]:
        """The logits of `tokens`: a part of `all_logits`."""
        self._require_logits()
        address = ctypes.addressof(self._llama.llama_get_logits_ith(self._ctx, self._row).contents)
        logits = memoryview((ctypes.c_float * (max(tokens) + 1)).from_address(address)).cast("B").cast("f")
        return [logits[token] for token in tokens]

    def _require_logits(self) -> None:
        if not self._has_logits:
            raise ValueError("nothing was decoded since the cache last changed")
        if self._candidates:
            raise ValueError("the device keeps the logits to itself: see select_candidates")


def _bytes_of(buffer: bytearray) -> Any:
    return (ctypes.c_uint8 * len(buffer)).from_buffer(buffer)


@cache
def _flag_test() -> Any:
    """libc's `strlen` as abort callback: a set flag byte is a string of length 1, and no Python runs in the decode."""
    return ctypes.cast(ctypes.CDLL(None).strlen, library.bindings().ggml_abort_callback)
