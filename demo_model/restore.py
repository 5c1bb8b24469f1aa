"""Makes a folder to train further from out of a GGUF: `python -m demo_model.restore hermes-demo.gguf build/shipped`."""

import argparse
from pathlib import Path

import gguf
import torch

from demo_model.tokenizer import CONTROL, USER_DEFINED, DemoTokenizer


def restore(source: Path, folder: Path, tokens_seen: int) -> None:
    """Writes `tokenizer.json` and `model.pt` as `demo_model.train` does, with the weights as far as Q8_0 keeps them."""
    folder.mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(source)
    tokens: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    merges: list[str] = reader.fields["tokenizer.ggml.merges"].contents()
    ordinary = tokens[: len(tokens) - len(CONTROL) - len(USER_DEFINED)]
    pairs = [(first, second) for first, second in (merge.split(" ") for merge in merges)]
    DemoTokenizer(ordinary, pairs).save(folder / "tokenizer.json")
    state = {}
    for tensor in reader.tensors:
        weights = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        state[tensor.name] = weights.to(torch.bfloat16) if weights.dim() == 2 else weights
    torch.save({"state": state, "tokens_seen": tokens_seen}, folder / "model.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens-seen", type=int, default=0, help="what the model has been trained on so far")
    options = parser.parse_args()
    restore(options.model, options.folder, options.tokens_seen)


if __name__ == "__main__":
    main()
