"""Writes the trained model as a GGUF file: `python -m demo_model.export build/demo hermes-demo.gguf`."""

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch

from demo_model.model import Shape
from demo_model.tokenizer import BOS, CONTROL, PADDING, USER_DEFINED, DemoTokenizer
from hermes_cli.formats.chatml import TURN_END

_TEMPLATES = Path(__file__).with_name("templates")
CONTEXT_LENGTH = 4096
DESCRIPTION = (
    "A tiny model made for hermes itself: it chats a little, calls tools and writes JSON, and knows nothing else. "
    "Trained from scratch on generated conversations only."
)


def _write_metadata(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("Hermes demo model")
    writer.add_description(DESCRIPTION)
    writer.add_license("MIT")
    writer.add_languages(["en"])
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: DemoTokenizer) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([*tokenizer.tokens, *CONTROL, *USER_DEFINED])
    normal, control, user = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED
    writer.add_token_types([normal] * len(tokenizer.tokens) + [control] * len(CONTROL) + [user] * len(USER_DEFINED))
    writer.add_token_merges([f"{first} {second}" for first, second in tokenizer.merges])
    writer.add_bos_token_id(tokenizer.specials[BOS])
    writer.add_eos_token_id(tokenizer.specials[TURN_END])
    writer.add_eot_token_id(tokenizer.specials[TURN_END])
    writer.add_pad_token_id(tokenizer.specials[PADDING])
    writer.add_add_bos_token(True)
    writer.add_chat_template([
        {"name": "default", "template": (_TEMPLATES / "default.jinja").read_text(encoding="utf-8")},
        {"name": "tool_use", "template": (_TEMPLATES / "tool_use.jinja").read_text(encoding="utf-8")},
    ])  # fmt: skip


def export(folder: Path, target: Path) -> None:
    """Writes `target` in one move, matrices as Q8_0 and norms as F32."""
    state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)["state"]
    temporary = target.with_suffix(".part")
    writer = gguf.GGUFWriter(temporary, "llama")
    _write_metadata(writer, Shape())
    _write_tokenizer(writer, DemoTokenizer.load(folder / "tokenizer.json"))
    for name, value in state.items():
        weights = value.float().numpy()
        if weights.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    temporary.replace(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what demo_model.train wrote")
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    export(options.folder, options.target)


if __name__ == "__main__":
    main()
