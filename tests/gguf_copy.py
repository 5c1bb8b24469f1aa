"""Changed copies of a GGUF, written with the `gguf` package: other metadata, other tokens, no weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter

_KIND_OF = {str: GGUFValueType.STRING, bool: GGUFValueType.BOOL, int: GGUFValueType.UINT32}
_NOT_COPIED = "GGUF."


def changed_copy(
    source: Path,
    target: Path,
    *,
    metadata: Mapping[str, str | int | bool] | None = None,
    without: tuple[str, ...] = (),
    renamed_tokens: Mapping[str, str] | None = None,
    token_types: Mapping[str, int] | None = None,
    weights: bool = True,
    more_weights: Mapping[str, Sequence[float]] | None = None,
) -> Path:
    """Copy `source` with `metadata` set, keys beginning with one of `without` left out, tokens renamed or retyped."""
    reader = GGUFReader(source)
    changes, renamed = dict(metadata or {}), dict(renamed_tokens or {})
    writer = GGUFWriter(target, str(changes.pop("general.architecture", "llama")))
    for name, field in reader.fields.items():
        if name == "general.architecture" or name in changes or name.startswith((_NOT_COPIED, *without)):
            continue
        value: Any = field.contents()
        if name == "tokenizer.ggml.tokens":
            value = [renamed.get(token, token) for token in value]
        if name == "tokenizer.ggml.token_type" and token_types:
            tokens = reader.fields["tokenizer.ggml.tokens"].contents()
            value = [token_types.get(token, kind) for token, kind in zip(tokens, value, strict=True)]
        writer.add_key_value(name, value, field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for name, new in changes.items():
        writer.add_key_value(name, new, _KIND_OF[type(new)])
    for tensor in reader.tensors if weights else ():
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for name, numbers in (more_weights or {}).items():
        writer.add_tensor(name, np.array(numbers, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    if weights:
        writer.write_tensors_to_file()
    writer.close()
    return target


def written_vocabulary(target: Path, tokens: list[str], merges: list[str], controls: list[str], template: str) -> Path:
    """A GGUF with a byte-level BPE vocabulary like Llama 3's and a chat template, without weights."""
    writer = GGUFWriter(target, "llama")
    writer.add_context_length(8192)
    writer.add_embedding_length(64)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([*tokens, *controls])
    writer.add_token_types([1] * len(tokens) + [3] * len(controls))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(tokens))
    writer.add_eos_token_id(len(tokens) + 1)
    writer.add_add_bos_token(True)
    writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return target


def written_mamba(source: Path, target: Path) -> Path:
    """A recurrent model of random weights with the tokenizer of `source`: its memory cannot be cut back."""
    width, inner, state, rank, kernel = 64, 128, 16, 8, 4
    reader = GGUFReader(source)
    writer = GGUFWriter(target, "mamba")
    for name, field in reader.fields.items():
        if name.startswith("tokenizer."):
            writer.add_key_value(name, field.contents(), field.types[0], field.types[-1])
    writer.add_context_length(2048)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(reader.fields["tokenizer.ggml.tokens"].contents()), width),
        "blk.0.ssm_in.weight": (2 * inner, width),
        "blk.0.ssm_conv1d.weight": (inner, kernel),
        "blk.0.ssm_conv1d.bias": (inner,),
        "blk.0.ssm_x.weight": (rank + 2 * state, inner),
        "blk.0.ssm_dt.weight": (inner, rank),
        "blk.0.ssm_dt.bias": (inner,),
        "blk.0.ssm_a": (inner, state),
        "blk.0.ssm_d": (inner,),
        "blk.0.ssm_out.weight": (width, inner),
    }
    generator = np.random.default_rng(1)
    for name, shape in shapes.items():
        values = generator.normal(0, 0.5, shape).astype(np.float32)
        writer.add_tensor(name, -np.abs(values) if name.endswith("ssm_a") else values)
    for name in ("output_norm.weight", "blk.0.attn_norm.weight"):
        writer.add_tensor(name, np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
