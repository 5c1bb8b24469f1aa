"""A GGUF loaded by llama.cpp: header, vocabulary and, unless only the vocabulary is loaded, weights."""

import ctypes
import os
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.devices import device_list
from hermes_cli.errors import EngineError, LoadCancelled, OutOfMemory

_VOCAB_NONE = 0
_CONTROL, _USER_DEFINED = 1 << 3, 1 << 4
_DRY_BREAKERS = (b"\n", b":", b'"', b"*")  # as in llama.cpp


class Model:
    """A loaded GGUF: its vocabulary and, unless `vocab_only`, its weights."""

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int = 0,
        gpus: Sequence[str] | None = None,
        extra_buffers: bool = False,
        vocab_only: bool = False,
        on_progress: Callable[[float], bool] | None = None,
    ) -> None:
        """Load `path`. `gpus` names the devices for its layers, None is all.

        `on_progress` gets 0 to 1 and stops the load by returning False (raises LoadCancelled).
        """
        self._llama = llama = library.bindings()
        params = llama.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        # No device at all for zero layers: else a GPU build still sends long prompts through the GPU.
        devices = device_list(gpus) if gpu_layers and gpus is not None else device_list(()) if not gpu_layers else None
        if devices:
            params.devices = ctypes.cast(devices, ctypes.c_void_p)
        params.use_extra_bufts = extra_buffers
        params.vocab_only = vocab_only
        stopped = False

        def progress(fraction: float, _: object) -> bool:
            nonlocal stopped
            stopped = on_progress is not None and not on_progress(fraction)
            return not stopped

        params.progress_callback = llama.llama_progress_callback(progress)
        library.clear_log()
        self.handle = llama.llama_model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            if stopped:
                raise LoadCancelled("loading the model was stopped", "run the command again")
            reason = library.failure_reason()
            if library.is_out_of_memory(reason):
                fewer = "use fewer --gpu-layers, " if gpu_layers else ""
                raise OutOfMemory(
                    f"cannot load {path}: {reason}", f"close other programs, {fewer}or use a smaller model"
                )
            raise EngineError(f"cannot load {path}: {reason}", _hint(reason))
        self._vocab = llama.llama_model_get_vocab(self.handle)
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}
        self.adapters: list[tuple[Any, float]] = []  # handles with their scales; freed with the model
        self.vocab_size = int(llama.llama_vocab_n_tokens(self._vocab))
        if llama.llama_vocab_type(self._vocab) == _VOCAB_NONE or not self.vocab_size:
            self.close()
            raise EngineError(f"cannot use {path}: it has no tokenizer", "choose another: hermes models list")

    def dry_arguments(self, *shape: float) -> tuple[Any, ...]:
        """The arguments of the sampler `dry`: the vocabulary, its numbers, and what separates sequences."""
        return self._vocab, *shape, (ctypes.c_char_p * len(_DRY_BREAKERS))(*_DRY_BREAKERS), len(_DRY_BREAKERS)

    def add_adapter(self, path: Path, scale: float) -> None:
        """Load a LoRA adapter for the contexts made from now on. Raises EngineError, OutOfMemory."""
        library.clear_log()
        adapter = self._llama.llama_adapter_lora_init(self.handle, os.fsencode(path))
        if not adapter:
            reason = library.failure_reason()
            kind = OutOfMemory if library.is_out_of_memory(reason) else EngineError
            raise kind(f"cannot load the adapter {path}: {reason}", f"inspect it: hermes models inspect {path}")
        self.adapters.append((adapter, scale))

    def close(self) -> None:
        """Free the model; close its contexts first."""
        if self.handle:
            self._llama.llama_model_free(self.handle)
            self.handle = None

    def _text(self, read: Callable[[Any, int], int]) -> str | None:
        """Text from a C function that fills a buffer and returns the length, or a negative number for 'not there'."""
        size = 1024
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = read(buffer, size)
            if length < size:
                return None if length < 0 else buffer.value.decode("utf-8", "replace")
            size = length + 1

    def metadata(self, key: str) -> str | None:
        """A scalar value of the GGUF header as text."""
        name = key.encode()
        return self._text(lambda buffer, size: self._llama.llama_model_meta_val_str(self.handle, name, buffer, size))

    def chat_template(self) -> str | None:
        """The default Jinja chat template in the GGUF."""
        template = self._llama.llama_model_chat_template(self.handle, None)
        return template.decode("utf-8", "replace") if template else None

    @property
    def description(self) -> str:
        """Architecture, size where it is one that llama.cpp knows, and quantisation."""
        text = self._text(lambda buffer, size: self._llama.llama_model_desc(self.handle, buffer, size)) or ""
        return text.replace(" ?B ", " ")

    @property
    def trained_context_length(self) -> int:
        return int(self._llama.llama_model_n_ctx_train(self.handle))

    @property
    def short_context_length(self) -> int:
        """The longest context with the short RoPE factors; models such as Phi-3 have others for a longer one."""
        original = self.metadata(f"{self.metadata('general.architecture')}.rope.scaling.original_context_length")
        return int(original) if original else self.trained_context_length

    @property
    def size_bytes(self) -> int:
        return int(self._llama.llama_model_size(self.handle))

    @property
    def layer_count(self) -> int:
        return int(self._llama.llama_model_n_layer(self.handle))

    @property
    def can_chat(self) -> bool:
        """Whether it generates text: not an encoder, a diffusion or an embedding model."""
        llama, model = self._llama, self.handle
        architecture = self.metadata("general.architecture")
        return bool(
            llama.llama_model_has_decoder(model)
            and not llama.llama_model_has_encoder(model)
            and not llama.llama_model_is_diffusion(model)
            and self.metadata(f"{architecture}.attention.causal") != "false"
        )

    @property
    def can_go_back(self) -> bool:
        """Whether its memory can drop only the last tokens; that of recurrent models cannot."""
        return not (self._llama.llama_model_is_recurrent(self.handle) or self._llama.llama_model_is_hybrid(self.handle))

    @property
    def bos(self) -> int | None:
        """The token that begins a text, if the model has one."""
        token = int(self._llama.llama_vocab_bos(self._vocab))
        return token if token >= 0 else None

    @property
    def adds_bos(self) -> bool:
        """Whether every prompt starts with `bos`, even if its format does not include it."""
        return self.bos is not None and bool(self._llama.llama_vocab_get_add_bos(self._vocab))

    @property
    def eos(self) -> int | None:
        """The token that ends a turn or a text, if the model has one."""
        token = int(self._llama.llama_vocab_eos(self._vocab))
        return token if token >= 0 else None

    @cached_property
    def control_tokens(self) -> dict[str, int]:
        """The texts and ids of the tokens that structure a conversation.

        Those typed as control tokens, and those typed as the user's own that are written like one: `<|...|>`.
        """
        typed, own = self._special_tokens
        return typed | own

    @cached_property
    def _special_tokens(self) -> tuple[dict[str, int], dict[str, int]]:
        """The typed control tokens, and the user's own that are written like one."""
        get_text = self._llama.llama_vocab_get_text
        typed: dict[str, int] = {}
        own: dict[str, int] = {}
        # `map` calls 128k times in three quarters of the time of a loop.
        every = map(self._llama.llama_vocab_get_attr, repeat(self._vocab), range(self.vocab_size))
        for token, attributes in enumerate(every):
            if attributes & (_CONTROL | _USER_DEFINED):
                text = get_text(self._vocab, token).decode("utf-8", "replace")
                if attributes & _CONTROL:
                    typed[text] = token
                elif text.startswith("<|") and text.endswith("|>"):
                    own[text] = token
        return typed, own

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of `text`, without BOS; only with `special` can they be control tokens."""
        if self._special_tokens[1] and not special:
            # llama.cpp finds these in plain text too, so each is split after its first character.
            cuts = [found.start() + 1 for found in self._user_marker_pattern.finditer(text)]
            parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
            return [token for part in parts for token in self._tokenized(part, special)]
        return self._tokenized(text, special)

    @cached_property
    def _user_marker_pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self._special_tokens[1])))

    def _tokenized(self, text: str, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 8
        tokens = (ctypes.c_int32 * capacity)()
        count = self._llama.llama_tokenize(self._vocab, data, len(data), tokens, capacity, False, special)
        if count < 0:
            tokens = (ctypes.c_int32 * -count)()
            count = self._llama.llama_tokenize(self._vocab, data, len(data), tokens, -count, False, special)
        return tokens[:count]

    def piece(self, token: int) -> bytes:
        """The bytes of a token; one character may span several tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            size = 32
            buffer = ctypes.create_string_buffer(size)
            length = self._llama.llama_token_to_piece(self._vocab, token, buffer, size, 0, True)
            if length < 0:
                size = -length
                buffer = ctypes.create_string_buffer(size)
                length = self._llama.llama_token_to_piece(self._vocab, token, buffer, size, 0, True)
            piece = self._pieces[token] = buffer.raw[: max(length, 0)]
        return piece

    def all_pieces(self) -> list[bytes]:
        """The bytes of every token, in the order of their ids; 0.2 s for a vocabulary of 128k."""
        write, vocab, size = self._llama.llama_token_to_piece, self._vocab, 512
        buffer = ctypes.create_string_buffer(size)
        pieces: list[bytes] = []
        for token in range(self.vocab_size):
            length = write(vocab, token, buffer, size, 0, True)
            pieces.append(ctypes.string_at(buffer, length) if length >= 0 else self.piece(token))
        return pieces

    def is_end(self, token: int) -> bool:
        """Whether the token ends the model's turn."""
        ends = self._ends.get(token)
        if ends is None:
            ends = self._ends[token] = bool(self._llama.llama_vocab_is_eog(self._vocab, token))
        return ends


def _hint(reason: str) -> str:
    """The hint for a file that llama.cpp cannot load for this reason."""
    if "unknown model architecture" in reason:
        return "a newer llama.cpp may know it: pip install --upgrade llama-cpp-python; or hermes models list"
    return "check the file, or choose another: hermes models list"
