"""What a file is if it is not a chat model, by its first bytes or its GGUF header."""

import re

from hermes_cli.gguf.header import Header
from hermes_cli.gguf.quant import quant_of

_EMBEDDING = re.compile(r"bert|^t5encoder$|-embed|^jina-")
_IMAGE = (
    *("flux", "sd1", "sd2", "sd3", "sdxl", "aura", "auraflow", "ltxv", "hyvid", "wan", "hidream", "cosmos"),
    *("lumina2", "qwen_image", "z_image", "chroma", "pixart"),
)
_KINDS = {
    **dict.fromkeys(_IMAGE, "an image or video model"),
    **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "a diffusion language model"),
    **dict.fromkeys(("t5", "t5gemma"), "an encoder-decoder model"),
    **dict.fromkeys(("wavtokenizer-dec", "whisper", "parakeet"), "an audio model"),
    **dict.fromkeys(("eagle", "eagle3", "dflash"), "a draft model for speculative decoding"),
    "controlvector": "a control vector",
}
_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"# xet version", "a Xet pointer, not the file itself"),
    (b"/annex/objects/", "a git-annex pointer, not the file itself"),
    (b"PK\x03\x04", "a zip archive or a PyTorch file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"lmgg", "in the old GGML format"),
    (b"tjgg", "in the old GGML format"),
    (b"fmgg", "in the old GGML format"),
    (b"algg", "in the old GGML format"),
    (b"{", "JSON"),
)
START_BYTES = 512


def other_format(start: bytes) -> str:
    """What a file is that does not begin like a GGUF, in words that follow its name and `is`."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return "empty"
    if re.match(rb"<!doctype html|<html|<head|<\?xml|<!--", text, re.IGNORECASE):
        return "a web page, not the file itself"
    for begin, words in _STARTS:
        if text.startswith(begin):
            return words
    if start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < 1 << 30:
        return "a safetensors file"
    if not any(start):
        return "full of zeros: an unfinished download"
    return f'text, not a GGUF file: "{said}"' if (said := _first_line(text)) else "not a GGUF file"


def _first_line(start: bytes) -> str:
    """The first words of a file, if they are text: a server's message in place of the file."""
    line = start.split(b"\n", 1)[0].decode("ascii", "replace").strip()
    return f"{line[:60]}…" * (len(line) > 60) or line if line.isprintable() and line.isascii() and " " in line else ""


def kind_of(header: Header) -> str | None:
    """What a GGUF is, with its article, if it cannot chat by itself; None for a language model."""
    general, architecture = header.text("general.type"), header.architecture
    if general == "mmproj" or architecture in ("clip", "mmproj"):
        return _projector(header)
    if general == "adapter" or header.text("adapter.type"):
        return "a LoRA adapter" if header.text("adapter.type") in (None, "lora") else "an adapter"
    if general == "imatrix" or header.number("imatrix.chunk_count") is not None:
        return "an importance matrix"
    if architecture in _KINDS:
        return _KINDS[architecture]
    pooling = header.own("pooling_type")
    if pooling == 4:
        return "a reranker"
    if pooling or _EMBEDDING.search(architecture):
        return "an embedding model"
    if header.tensor_count == 0 and header.part_count == 1 and architecture:
        return "a vocabulary without weights"
    return None


def kind_by_name(name: str) -> str | None:
    """What a file is by its name alone, where its header cannot be read."""
    base = name.rpartition("/")[2].lower()
    if "mmproj" in base:
        return "a projector"
    return "an importance matrix" if "imatrix" in base and quant_of(f"/{base}") is None else None


def _projector(header: Header) -> str:
    sees, hears = (header.values.get(f"clip.has_{each}_encoder") for each in ("vision", "audio"))
    if sees and hears:
        return "a vision and audio projector"
    return "an audio projector" if hears else "a vision projector"
