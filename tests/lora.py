"""LoRA adapters for the demo model, written with the `gguf` package as llama.cpp's converter writes them."""

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFWriter

RANK = 4


def write_adapter(
    base: Path,
    target: Path,
    *,
    strength: float = 1.0,
    architecture: str = "llama",
    kind: str = "lora",
    tensors: tuple[str, ...] = ("attn_output.weight", "ffn_down.weight"),
    width: int | None = None,
    missing: str = "",
) -> Path:
    """An adapter with random weights for these tensors of every layer; `width` replaces the size of their input."""
    random = np.random.default_rng(1)
    writer = GGUFWriter(target, architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", kind)
    writer.add_float32("adapter.lora.alpha", float(RANK))
    shapes = {tensor.name: tensor.shape.tolist() for tensor in GGUFReader(base).tensors}
    for name, (inputs, outputs) in ((name, shape) for name, shape in shapes.items() if name.endswith(tensors)):
        parts = {"lora_a": (RANK, width or inputs), "lora_b": (outputs, RANK)}
        for part, shape in parts.items():
            if part != missing:
                weights = random.standard_normal(shape).astype(np.float32) * strength
                writer.add_tensor(f"{name}.{part}", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
