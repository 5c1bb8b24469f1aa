"""The GPUs that this build of llama.cpp computes on, and what memory they have free."""

import ctypes
import sys
from collections.abc import Sequence
from typing import Any

from hermes_cli.engine.llama import library
from hermes_cli.values import dataclass

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
    """The devices a model is spread over: separate ones, else integrated ones; none if the build cannot list them."""
    ggml = _declared()
    if ggml is None:
        return ()
    kinds = [(ggml.ggml_backend_dev_type(device), device) for device in _devices(ggml)]
    separate = [_gpu(ggml, device, shared=sys.platform == "darwin") for kind, device in kinds if kind == _GPU]
    return tuple(separate or [_gpu(ggml, device, shared=True) for kind, device in kinds if kind == _INTEGRATED])


def backends() -> tuple[str, ...]:
    """The backends of the build, such as CUDA and CPU, whether such a device exists or not."""
    ggml = _declared()
    if ggml is None:
        return ()
    found = (ggml.ggml_backend_reg_get(index) for index in range(ggml.ggml_backend_reg_count()))
    return tuple((ggml.ggml_backend_reg_name(backend) or b"").decode("utf-8", "replace") for backend in found)


def device_list(names: Sequence[str]) -> Any:
    """A NULL-terminated array of the devices with these names."""
    ggml = _declared()
    found = [device for device in _devices(ggml) if _name(ggml, device) in names] if ggml and names else []
    return (ctypes.c_void_p * (len(found) + 1))(*found)


def _declared() -> Any:
    """The shared library with its device functions declared; None where it has others."""
    ggml = library.bindings()._lib
    try:
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(ggml, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError:
        return None
    return ggml


def _devices(ggml: Any) -> list[int]:
    return [ggml.ggml_backend_dev_get(index) for index in range(ggml.ggml_backend_dev_count())]


def _name(ggml: Any, device: int) -> str:
    return str((ggml.ggml_backend_dev_name(device) or b"").decode("utf-8", "replace"))


def _gpu(ggml: Any, device: int, *, shared: bool) -> Gpu:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    description = (ggml.ggml_backend_dev_description(device) or b"").decode("utf-8", "replace")
    return Gpu(_name(ggml, device), description, free.value, total.value, shared)
