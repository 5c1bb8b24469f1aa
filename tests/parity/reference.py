"""The model of a GGUF with its weights as 32-bit floats: as a GGUF for hermes, and as a model of transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedTokenizerFast,
)

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NOT_COPIED = ("GGUF.", "general.architecture", "general.file_type", "general.quantization_version")
_NORMAL = 1  # an ordinary token: neither a control token nor defined by the user


def weights(reader: gguf.GGUFReader) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Every tensor as 32-bit floats."""
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        for tensor in reader.tensors
    }


def write_f32(source: Path, target: Path) -> None:
    """Write the GGUF `source` as `target`, every weight as a 32-bit float."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if not name.startswith(_NOT_COPIED):
            kind = field.types[0]
            parts = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), kind, sub_type=parts)
    for name, value in weights(reader).items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Reference:
    """A Llama of transformers with the weights of a GGUF."""

    def __init__(self, source: Path) -> None:
        reader = gguf.GGUFReader(source)
        self._fields = {name: field.contents() for name, field in reader.fields.items()}
        state = weights(reader)
        config = self._config(tied="output.weight" not in state)
        self.model = LlamaForCausalLM(config).eval()
        named = {self._name(name): torch.from_numpy(self._unpermuted(name, value)) for name, value in state.items()}
        missing, unknown = self.model.load_state_dict(named, strict=False)
        assert not unknown and set(missing) <= {"lm_head.weight"}
        self.model.tie_weights()

    def _config(self, *, tied: bool) -> LlamaConfig:
        own = {name.removeprefix("llama."): value for name, value in self._fields.items()}
        return LlamaConfig(
            vocab_size=len(own["tokenizer.ggml.tokens"]),
            hidden_size=own["embedding_length"],
            intermediate_size=own["feed_forward_length"],
            num_hidden_layers=own["block_count"],
            num_attention_heads=own["attention.head_count"],
            num_key_value_heads=own["attention.head_count_kv"],
            max_position_embeddings=own["context_length"],
            rms_norm_eps=own["attention.layer_norm_rms_epsilon"],
            rope_parameters={"rope_type": "default", "rope_theta": own["rope.freq_base"]},
            tie_word_embeddings=tied,
            attn_implementation="eager",
            bos_token_id=own["tokenizer.ggml.bos_token_id"],
            eos_token_id=own["tokenizer.ggml.eos_token_id"],
        )

    @staticmethod
    def _name(name: str) -> str:
        if not name.startswith("blk."):
            return f"{_NAMES[name.removesuffix('.weight')]}.weight"
        _, layer, part, _ = name.split(".")
        return f"model.layers.{layer}.{_NAMES[part]}.weight"

    def _unpermuted(self, name: str, value: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Query and key rows in the order of transformers: the halves of each head apart, not in pairs."""
        heads = {"attn_q": "head_count", "attn_k": "head_count_kv"}.get(name.split(".")[-2])
        if heads is None:
            return value.copy()
        count = self._fields[f"llama.attention.{heads}"]
        pairs = value.reshape(count, value.shape[0] // count // 2, 2, value.shape[1])
        return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(value.shape))

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer of a GGUF with the `llama-bpe` pre-tokenizer, and its chat template."""
        tokens, kinds = self._fields["tokenizer.ggml.tokens"], self._fields["tokenizer.ggml.token_type"]
        merges = [tuple(merge.split(" ")) for merge in self._fields["tokenizer.ggml.merges"]]
        bpe = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges, ignore_merges=True))
        split = pre_tokenizers.Split(Regex(_LLAMA_3), "isolated")
        levels = [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        bpe.pre_tokenizer = pre_tokenizers.Sequence(levels)
        special = [token for token, kind in zip(tokens, kinds, strict=True) if kind != _NORMAL]
        bpe.add_tokens([AddedToken(token, normalized=False) for token in special])
        bos = tokens[self._fields["tokenizer.ggml.bos_token_id"]]
        return PreTrainedTokenizerFast(
            tokenizer_object=bpe, bos_token=bos, chat_template=self._fields["tokenizer.chat_template"]
        )

    def greedy(self, prompts: Sequence[list[int]], count: int, padding: int, **options: Any) -> list[list[int]]:
        """The answers of `generate` without sampling, at most `count` tokens each, without the end token."""
        longest = max(map(len, prompts))
        ids = torch.tensor([[padding] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        processors = LogitsProcessorList([AnswerPenalty(longest)] if options.pop("answer_only", False) else [])
        with torch.no_grad():
            rows = self.model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=count,
                do_sample=False,
                pad_token_id=padding,
                logits_processor=processors,
                **options,
            )
        end = self._fields["tokenizer.ggml.eos_token_id"]
        answers = [row[longest:].tolist() for row in rows]
        return [answer[: answer.index(end)] if end in answer else answer for answer in answers]


class AnswerPenalty(LogitsProcessor):  # type: ignore[misc]
    """hermes' own repetition penalty: the last 64 tokens of the answer."""

    def __init__(self, begin: int, rate: float = 1.1, last: int = 64) -> None:
        self._begin, self._rate, self._last = begin, rate, last

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        recent = input_ids[:, max(self._begin, input_ids.shape[1] - self._last) :]
        score = torch.gather(scores, 1, recent)
        score = torch.where(score < 0, score * self._rate, score / self._rate)
        return scores.scatter(1, recent, score)
