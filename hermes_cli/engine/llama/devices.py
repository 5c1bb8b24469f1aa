"""The GPUs that this build of llama.cpp computes on, and what memory they have free."""

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hermes_cli.engine.llama import library as native

_GPU, _INTEGRATED = 1, 2  # ggml_backend_dev_type
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ggml_backend_dev_count": (ctypes.c_size_t, ()),
    "ggml_backend_dev_get": (ctypes.c_void_p, (ctypes.c_size_t,)),
    "ggml_backend_reg_count": (ctypes.c_size_t, ()),
    "ggml_backend_reg_get": (ctypes.c_void_p, (ctypes.c_size_t,)),
    "ggml_backend_reg_name": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "ggml_backend_dev_type": (ctypes.c_int, (ctypes.c_void_p,)),
    "ggml_backend_dev_name": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "ggml_backend_dev_description": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "ggml_backend_dev_memory": (
        None,
        (ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)),
    ),
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device as llama.cpp names it; `shared` if its memory is the machine's own."""

    name: str
    description: str
    free_bytes: int
    total_bytes: int
    shared: bool = False


def gpus() -> tuple[Gpu, ...]:
    """The devices a model is spread over: separate ones, else integrated ones; none where the build does not tell."""
    library = _library()
    if library is None:
        return ()
    kinds = [(library.ggml_backend_dev_type(device), device) for device in _devices(library)]
    separate = [_gpu(library, device, shared=sys.platform == "darwin") for kind, device in kinds if kind == _GPU]
    return tuple(separate or [_gpu(library, device, shared=True) for kind, device in kinds if kind == _INTEGRATED])


def backends() -> tuple[str, ...]:
    """What the build can compute on, such as CUDA and CPU, whether there is such a device or not."""
    library = _library()
    if library is None:
        return ()
    found = (library.ggml_backend_reg_get(index) for index in range(library.ggml_backend_reg_count()))
    return tuple((library.ggml_backend_reg_name(backend) or b"").decode("utf-8", "replace") for backend in found)


def device_list(names: Sequence[str]) -> Any:
    """The devices of these names as llama.cpp takes them, closed by NULL."""
    library = _library()
    found = [device for device in _devices(library) if _name(library, device) in names] if library and names else []
    return (ctypes.c_void_p * (len(found) + 1))(*found)


def _library() -> Any:
    """The library with its functions for devices declared; None where it has others."""
    library = native.library()._lib
    try:
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError:
        return None
    return library


def _devices(library: Any) -> list[int]:
    return [library.ggml_backend_dev_get(index) for index in range(library.ggml_backend_dev_count())]


def _name(library: Any, device: int) -> str:
    return str((library.ggml_backend_dev_name(device) or b"").decode("utf-8", "replace"))


def _gpu(library: Any, device: int, *, shared: bool) -> Gpu:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    library.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    description = (library.ggml_backend_dev_description(device) or b"").decode("utf-8", "replace")
    return Gpu(_name(library, device), description, free.value, total.value, shared)
