"""The probe child: `python -m llmsite.engine.probe` prints the devices that llama.cpp can use here as one line of JSON, and ends.

A process of its own, since asking a GPU backend keeps memory on the GPU for as long as the asker lives.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

import msgspec

from llmsite.engine.devices import Device
from llmsite.engine.llama import lib

_KINDS: Final = ("cpu", "gpu", "igpu", "accel", "meta")  # enum ggml_backend_dev_type
_SIZE: Final = ctypes.c_size_t
_POINTER: Final = ctypes.c_void_p


def list_devices() -> list[Device]:
    """Devices in llama.cpp's order, with free and total bytes. Blocks while backends start (seconds on some GPUs)."""
    ggml = lib._lib  # noqa: SLF001 (looking a symbol up there also finds those of libggml, which it is linked to)
    num_devices = _declare(ggml.ggml_backend_dev_count, _SIZE)
    device_at = _declare(ggml.ggml_backend_dev_get, _POINTER, _SIZE)
    return [_describe(ggml, device_at(index)) for index in range(num_devices())]


def _describe(ggml: Any, device: Any) -> Device:
    name = _declare(ggml.ggml_backend_dev_name, ctypes.c_char_p, _POINTER)
    description = _declare(ggml.ggml_backend_dev_description, ctypes.c_char_p, _POINTER)
    kind = _declare(ggml.ggml_backend_dev_type, ctypes.c_int, _POINTER)
    registry = _declare(ggml.ggml_backend_dev_backend_reg, _POINTER, _POINTER)
    backend = _declare(ggml.ggml_backend_reg_name, ctypes.c_char_p, _POINTER)
    memory = _declare(ggml.ggml_backend_dev_memory, None, _POINTER, ctypes.POINTER(_SIZE), ctypes.POINTER(_SIZE))
    free, total = _SIZE(), _SIZE()
    memory(device, ctypes.byref(free), ctypes.byref(total))
    return Device(
        name=name(device).decode(errors="replace"),
        description=description(device).decode(errors="replace"),
        backend=backend(registry(device)).decode(errors="replace"),
        kind=_KINDS[kind(device)] if kind(device) < len(_KINDS) else "meta",
        free_bytes=free.value,
        total_bytes=total.value,
    )


def _declare(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function


def main() -> None:
    lib.llama_backend_init()
    sys.stdout.buffer.write(msgspec.json.encode(list_devices()) + b"\n")


if __name__ == "__main__":
    main()
