"""A copy of the demo model that never ends its turn, so that every program generates as many tokens as asked."""

from pathlib import Path

from gguf import GGUFReader


def endless_copy(source: Path, target: Path) -> Path:
    """Write `source` to `target` with its end tokens as unlikely as a token that was never trained."""
    data = bytearray(source.read_bytes())
    reader = GGUFReader(source)
    tokens: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    output = next(tensor for tensor in reader.tensors if tensor.name == "output.weight")
    row_bytes = int(output.n_bytes) // len(tokens)

    def row(token: str) -> slice:
        start = int(output.data_offset) + tokens.index(token) * row_bytes
        return slice(start, start + row_bytes)

    for end in ("<|im_end|>", "<|end_of_text|>"):
        data[row(end)] = data[row("<|reserved_special_token_0|>")]
    target.write_bytes(data)
    return target
