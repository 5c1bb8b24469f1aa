"""The llama.cpp library in this process: imported, checked, its log caught. The only importer of llama_cpp.

The other modules of this folder build on `bindings()`; no ctypes object leaves them.
"""

import ctypes
import importlib
import importlib.util
import os
import re
import shlex
import sys
import types
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from hermes_cli.errors import EngineError

REQUIREMENT = "llama-cpp-python>=0.3.36,<0.4"
_PYTHON = shlex.quote(sys.executable)
# uv makes environments without pip.
_HAS_PIP = importlib.util.find_spec("pip") is not None
_PIP_INSTALL = f"{_PYTHON} -m pip install" if _HAS_PIP else f"uv pip install --python {_PYTHON}"
PREFER_WHEELS = "--prefer-binary" if _HAS_PIP else "--index-strategy unsafe-best-match"
INSTALL = f"{_PIP_INSTALL} '{REQUIREMENT}'"
REBUILD = f"{_PIP_INSTALL} --force-reinstall --no-cache-dir '{REQUIREMENT}'"

_LOG_ERROR, _LOG_CONTINUED = 4, 5
_log: deque[tuple[int, str]] = deque(maxlen=400)

# Every function in use, by its number of arguments: both have changed between versions.
FUNCTIONS = {
    0: (
        "llama_backend_init llama_context_default_params llama_model_default_params llama_print_system_info "
        "llama_sampler_chain_default_params llama_sampler_init_greedy llama_supports_gpu_offload llama_version "
    ),
    1: (
        "llama_free llama_get_memory llama_model_free llama_model_get_vocab llama_model_has_decoder "
        "llama_model_has_encoder llama_model_is_diffusion llama_model_is_hybrid llama_model_is_recurrent "
        "llama_model_n_ctx_train llama_model_n_layer llama_model_n_swa llama_model_size llama_n_batch llama_n_ctx "
        "llama_sampler_chain_init llama_sampler_free llama_sampler_init_dist llama_sampler_init_temp "
        "llama_sampler_init_top_k llama_sampler_init_top_n_sigma "
        "llama_vocab_bos llama_vocab_eos llama_vocab_get_add_bos llama_vocab_n_tokens "
        "llama_vocab_type "
    ),
    2: (
        "llama_batch_get_one llama_decode llama_get_logits_ith llama_init_from_model llama_log_set llama_memory_clear "
        "llama_memory_seq_pos_max llama_model_chat_template llama_model_load_from_file llama_sampler_chain_add "
        "llama_adapter_lora_init llama_sampler_accept llama_sampler_apply llama_sampler_init llama_sampler_init_min_p "
        "llama_sampler_init_top_p llama_sampler_init_typical llama_state_seq_get_size llama_vocab_get_attr "
        "llama_get_sampled_logits_ith llama_vocab_get_text llama_vocab_is_eog "
    ),
    3: (
        "llama_model_desc llama_sampler_init_logit_bias llama_sampler_init_mirostat_v2 llama_sampler_init_temp_ext "
        "llama_sampler_sample llama_set_n_threads llama_set_sampler"
    ),
    4: (
        "llama_memory_seq_rm llama_model_meta_val_str llama_sampler_init_xtc llama_set_adapters_lora "
        "llama_state_seq_get_data llama_state_seq_set_data"
    ),
    5: "llama_sampler_init_mirostat llama_sampler_init_penalties",
    6: "llama_token_to_piece",
    7: "llama_sampler_init_dry llama_tokenize",
}
FIELDS = {
    "llama_batch": ("logits",),
    "llama_logit_bias": ("token", "bias"),
    "llama_sampler_i": ("apply",),
    "llama_token_data": ("id", "logit", "p"),
    "llama_token_data_array": ("data", "size", "selected", "sorted"),
    "llama_model_params": ("devices", "n_gpu_layers", "progress_callback", "vocab_only", "use_extra_bufts"),
    "llama_context_params": (
        *("n_ctx", "n_batch", "n_ubatch", "n_outputs_max", "n_outputs_max_per_seq", "n_threads", "n_threads_batch"),
        *("flash_attn_type", "type_k", "type_v", "abort_callback", "abort_callback_data", "no_perf"),
    ),
}


def folder() -> Path:
    """The folder of the shared libraries that llama_cpp will load."""
    override = os.environ.get("LLAMA_CPP_LIB_PATH")
    return Path(_package_folder()) / "lib" if override is None else Path(override)


def knows_architecture(name: str) -> bool:
    """Whether the installed llama.cpp can load models of this architecture; True where it cannot be found out."""
    found = [file for ending in ("so", "dylib", "dll") for file in folder().glob(f"*llama*.{ending}")]
    return not found or any(f"\0{name}\0".encode() in file.read_bytes() for file in found)


@cache
def _package_folder() -> str:
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError("llama-cpp-python is not installed", INSTALL)
    return spec.submodule_search_locations[0]


@cache
def bindings() -> Any:
    """The ctypes bindings, checked, with native messages and aborts caught; imported on first use only."""
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    if "OMP_WAIT_POLICY" not in os.environ:
        # About 0.1 ms, as between two tokens; threads that spin longer block each other beside another program.
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    llama = _import_bindings()
    missing = missing_names(llama)
    if missing:
        raise EngineError(
            f"the installed llama-cpp-python lacks {', '.join(missing)}",
            f"install a supported version: {INSTALL}",
        )
    llama.llama_log_set(_log_callback(llama), None)
    _set_last_words(llama)
    llama.llama_backend_init()
    return llama


def _import_bindings() -> Any:
    """`llama_cpp.llama_cpp` without the package around it, whose numpy and diskcache cost more than all else."""
    package = types.ModuleType("llama_cpp")
    package.__path__ = [_package_folder()]
    loaded = sys.modules.setdefault("llama_cpp", package)
    try:
        return importlib.import_module("llama_cpp.llama_cpp")
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        elsewhere = os.environ.get("LLAMA_CPP_LIB_PATH")
        hint = f"rebuild it for this machine: {REBUILD}" if elsewhere is None else "unset LLAMA_CPP_LIB_PATH"
        raise EngineError(f"llama.cpp cannot be loaded: {error}", hint) from error
    finally:
        if loaded is package:
            sys.modules.pop("llama_cpp", None)


def missing_names(llama: Any) -> list[str]:
    """What `llama` lacks of what this program needs: functions, their number of arguments, struct fields."""
    missing = [
        f"{name}/{arity}"
        for arity, names in FUNCTIONS.items()
        for name in names.split()
        if not hasattr(llama, name) or len(getattr(getattr(llama, name), "argtypes", None) or ()) != arity
    ]
    for struct, names in FIELDS.items():
        fields = dict(getattr(getattr(llama, struct, None), "_fields_", ()))
        missing += [f"{struct}.{name}" for name in names if name not in fields]
    return missing


@cache
def _log_callback(llama: Any) -> Any:
    """Records llama.cpp's messages instead of printing them; runs on its threads, so it only appends."""

    def append(level: int, text: bytes | None, _: object) -> None:
        message = (text or b"").decode("utf-8", "replace")
        if level == _LOG_CONTINUED and _log:
            level, message = _log[-1][0], _log.pop()[1] + message
        _log.append((level, message))

    return llama.llama_log_callback(append)


def _say_abort(message: bytes | None) -> None:
    """Called by llama.cpp before it aborts: print an ordinary error and exit."""
    # It begins with the path of a source file on the machine that built the library.
    reason = re.sub(r"^\S*/(?=[^/\s]+:\d+: )", "", " ".join((message or b"").decode("utf-8", "replace").split()))
    _leave(f"llama.cpp stopped: {reason}")


def _say_terminate() -> None:
    """The same for an uncaught C++ exception."""
    _leave("llama.cpp stopped on an uncaught error")


def _leave(problem: str) -> None:
    hint = "a damaged model file or too little memory can cause this: see whether `--model demo` works"
    if is_out_of_memory(problem + failure_reason()):
        hint = "use a shorter context with --ctx, or fewer --gpu-layers"
    os.write(2, f"error: {problem}\nhint: {hint}\n".encode())
    os._exit(EngineError.exit_code)


_abort_callback = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(_say_abort)
_terminate_callback = ctypes.CFUNCTYPE(None)(_say_terminate)
_SET_TERMINATE = "_ZSt13set_terminatePFvvE"


def _set_last_words(llama: Any) -> None:
    """Print an error line on llama.cpp's aborts and uncaught exceptions, if its libraries allow that."""
    with suppress(AttributeError):
        setter = llama._lib.ggml_set_abort_callback
        setter.argtypes, setter.restype = [type(_abort_callback)], ctypes.c_void_p
        setter(_abort_callback)
    with suppress(AttributeError):
        # std::set_terminate of the C++ library that llama.cpp itself uses.
        setter = getattr(llama._lib, _SET_TERMINATE)
        setter.argtypes, setter.restype = [type(_terminate_callback)], ctypes.c_void_p
        setter(_terminate_callback)


def log_lines() -> list[str]:
    """llama.cpp's latest messages, oldest first."""
    return "".join(text for _, text in _log).splitlines()


def clear_log() -> None:
    """Drop the messages so far, so that the next reason belongs to the next call."""
    _log.clear()


def failure_reason() -> str:
    """The first error since the log was cleared, because later ones only report that an earlier step failed."""
    errors = [text.strip() for level, text in _log if level == _LOG_ERROR and text.strip()]
    return errors[0].split(": ", 1)[-1] if errors else "no reason given"


def is_out_of_memory(reason: str) -> bool:
    """Whether an error message of llama.cpp means that an allocation failed."""
    return bool(re.search(r"out of memory|insufficient memory|(unable|failed) to allocate", reason))


def version() -> str:
    """The version of llama.cpp itself."""
    return str(bindings().llama_version().decode())


def system_info() -> str:
    """The CPU features and devices this build uses, in llama.cpp's own words."""
    return str(bindings().llama_print_system_info().decode("utf-8", "replace"))


def supports_gpu() -> bool:
    """Whether this build can offload layers and finds a device to do it."""
    return bool(bindings().llama_supports_gpu_offload())
