"""Compare the headers of a LoRA adapter and a model, because llama.cpp would refuse a misfit only after loading."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hermes_cli.gguf.header import Header
from hermes_cli.gguf.kind import kind_of

_A, _B = ".lora_a", ".lora_b"


def misfit(adapter: Header, base: Header) -> str | None:
    """Why the adapter cannot be used with the model, in words that follow its name; None if it fits."""
    kind = kind_of(adapter)
    if kind != "a LoRA adapter":
        return f"is {kind or 'a model'}, not a LoRA adapter"
    if adapter.count("adapter.alora.invocation_tokens"):
        return "is an activated LoRA (aLoRA), which is not supported"
    if not isinstance(adapter.values.get("adapter.lora.alpha"), float):
        return "has no adapter.lora.alpha in its header"
    if adapter.architecture != base.architecture:
        return f"is for {adapter.architecture or 'an unknown architecture'}, the model is {base.architecture}"
    return _wrong_tensors(adapter, base)


def with_adapters(base: Header, adapters: Sequence[Header]) -> Header:
    """The header of a model together with its adapters, as far as an estimate of memory needs it."""
    groups = Counter(base.group_bytes)
    for adapter in adapters:
        groups.update(adapter.group_bytes)
    added = sum(adapter.weights_bytes for adapter in adapters)
    return replace(base, group_bytes=groups, weights_bytes=base.weights_bytes + added) if adapters else base


def _wrong_tensors(adapter: Header, base: Header) -> str | None:
    targets = {name.removesuffix(_A).removesuffix(_B) for name in adapter.shapes if not name.endswith("_norm.weight")}
    if not targets:
        return "has no weights"
    for target in sorted(targets):
        first, second = adapter.shapes.get(target + _A), adapter.shapes.get(target + _B)
        if not first or not second:
            return f"lacks one of {target}{_A} and {target}{_B}"
        wanted = base.shapes.get(target)
        if wanted is None:
            return f"changes {target}, which the model does not have"
        found = _changed_shape(target, first, second)
        if found != wanted:
            return f"changes {target} of {_in_words(found)}, the model has {_in_words(wanted)}"
        if first[1] != second[0]:
            return f"has {target} in the old form of llama-finetune, which is not supported"
    return None


def _changed_shape(target: str, first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the weights that the product of both changes; that of embeddings is transposed."""
    if len(first) < 2 or len(second) < 2 or first[2:] != second[2:]:
        return ()
    if target.startswith("token_embd."):
        return second[1], first[1]
    return first[0], second[1], *first[2:]


def _in_words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "impossible shape"
