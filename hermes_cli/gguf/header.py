"""The header of a GGUF file, in plain Python: what the model is, without loading it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from hermes_cli.gguf.types import FILE_TYPES, TENSOR_TYPES
from hermes_cli.gguf.values import Array, BadHeader, HeaderReader, Source
from hermes_cli.values import dataclass

_MOST_VALUES, _MOST_TENSORS, _MOST_DIMENSIONS, _MOST_ELEMENTS = 1 << 16, 1 << 20, 8, 1 << 48


@dataclass(frozen=True, slots=True)
class Header:
    """The facts of one file. Of a model in parts, the first file has the values, and each has its own tensors."""

    values: Mapping[str, Any]
    tensor_count: int
    parameters: int
    weights_bytes: int
    file_bytes: int  # header, padding and weights: the size the file must have
    types: Mapping[str, int] = field(default_factory=dict)  # how many tensors are of which type
    group_bytes: Mapping[str, int] = field(default_factory=dict)  # weights by `blk.N`, `output`, `token_embd` and so on
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # the dimensions of each tensor by its name

    def number(self, key: str) -> int | None:
        """A whole number that counts something; of several, one per layer, the largest."""
        value = self.values.get(key)
        if isinstance(value, Array):
            value = max(value.values, default=None)
        return int(value) if isinstance(value, int | float) and 0 <= value < 1 << 53 else None

    def text(self, key: str) -> str | None:
        """A text."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def own(self, key: str) -> int | None:
        """A number whose key begins with the name of the architecture."""
        return self.number(f"{self.architecture}.{key}")

    def count(self, key: str) -> int:
        """How many elements an array has; 0 without it."""
        value = self.values.get(key)
        return value.count if isinstance(value, Array) else 0

    @property
    def architecture(self) -> str:
        """The kind of network, as llama.cpp calls it."""
        return self.text("general.architecture") or ""

    @property
    def quantisation(self) -> str:
        """The quant that the file states, else the type of most of its tensors."""
        file_type = self.number("general.file_type")
        named = FILE_TYPES.get(file_type) if file_type is not None else None
        return named or max(self.types, key=lambda name: self.types[name], default="unknown")

    @property
    def part_count(self) -> int:
        """Of how many files the model consists."""
        return max(self.number("split.count") or 1, 1)

    @property
    def templates(self) -> list[str]:
        """The chat templates in it, by name."""
        prefix = "tokenizer.chat_template"
        names = [key.removeprefix(prefix).removeprefix(".") for key in self.values if key.startswith(prefix)]
        return [name or "default" for name in names if name != "s"]


def read_header(source: Source, facts_only: bool = False) -> Header:
    """Read the header at the start of `source`; with `facts_only` neither tokenizer nor tensors. Raises BadHeader."""
    reader = HeaderReader(source)
    if source.size_bytes is not None and source.size_bytes < 4:
        raise BadHeader("is not a GGUF file")
    if reader.take(4) != b"GGUF":
        raise BadHeader("is not a GGUF file")
    version = reader.number("I")
    if version in (2 << 24, 3 << 24):
        reader.use_big_endian()
    elif version not in (2, 3):
        raise BadHeader(f"is GGUF version {version}; 2 and 3 can be read")
    tensor_count, value_count = reader.number("Q"), reader.number("Q")
    if tensor_count > _MOST_TENSORS or value_count > _MOST_VALUES:
        raise BadHeader(f"claims to have {tensor_count:,} tensors and {value_count:,} values")
    values: dict[str, Any] = {}
    for _ in range(value_count):
        key = reader.key()
        if facts_only and key.startswith("tokenizer."):
            break
        if key in values:
            raise BadHeader(f"has {key!r} twice in its header")
        values[key] = reader.value(reader.number("I"))
    if facts_only:
        return Header(values, tensor_count, 0, 0, 0)
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20:
        raise BadHeader("has an impossible alignment")
    return _with_tensors(reader, values, tensor_count, alignment)


def whole(headers: Sequence[Header]) -> Header:
    """The header of a model in parts: the first has the values, all together have the tensors."""
    groups: Counter[str] = Counter()
    types: Counter[str] = Counter()
    shapes: dict[str, tuple[int, ...]] = {}
    for header in headers:
        groups.update(header.group_bytes)
        types.update(header.types)
        shapes.update(header.shapes)
    return replace(
        headers[0],
        tensor_count=sum(header.tensor_count for header in headers),
        parameters=sum(header.parameters for header in headers),
        weights_bytes=sum(header.weights_bytes for header in headers),
        types=types,
        group_bytes=groups,
        shapes=shapes,
    )


def _with_tensors(reader: HeaderReader, values: dict[str, Any], tensor_count: int, alignment: int) -> Header:
    types: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    shapes: dict[str, tuple[int, ...]] = {}
    parameters = end = 0
    for _ in range(tensor_count):
        name = reader.key()
        shapes[name] = shape = _shape(reader, name)
        elements, kind, offset = math.prod(shape), reader.number("I"), reader.number("Q")
        if kind not in TENSOR_TYPES:
            raise BadHeader(f"has the tensor {name!r} of unknown type {kind}")
        type_name, block, block_bytes = TENSOR_TYPES[kind]
        size = -(-elements // block) * block_bytes
        types[type_name] += 1
        groups[_group(name)] += size
        parameters += elements
        end = max(end, offset + size)
    start = -(-reader.position // alignment) * alignment
    file_bytes = start + end if tensor_count else reader.position
    return Header(values, tensor_count, parameters, groups.total(), file_bytes, types, groups, shapes)


def _group(tensor: str) -> str:
    """`blk.7` for all that belongs to that layer, else the name up to its ending."""
    parts = tensor.split(".")
    return ".".join(parts[:2]) if parts[0] == "blk" else parts[0]


def _shape(reader: HeaderReader, name: str) -> tuple[int, ...]:
    dimensions = reader.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise BadHeader(f"has the tensor {name!r} with {dimensions:,} dimensions")
    shape = tuple(reader.number("Q") for _ in range(dimensions))
    if any(math.prod(shape[: count + 1]) > _MOST_ELEMENTS for count in range(dimensions)):
        raise BadHeader(f"has the tensor {name!r} with impossibly many weights")
    return shape
