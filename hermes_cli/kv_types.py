"""The number types that a KV cache can have, as llama.cpp names them."""

from typing import Literal, get_args

KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]  # the most exact first
KV_TYPES: tuple[KvType, ...] = get_args(KvType)
UNQUANTISED: frozenset[KvType] = frozenset(("f32", "f16", "bf16"))  # need no flash attention
BLOCK_BYTES: dict[KvType, int] = {  # of 32 numbers
    "f32": 128,
    "f16": 64,
    "bf16": 64,
    "q8_0": 34,
    "q5_1": 24,
    "q5_0": 22,
    "q4_1": 20,
    "q4_0": 18,
    "iq4_nl": 18,
}
