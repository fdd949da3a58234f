"""Is one GGUF file the quantized form of another? Compares two headers; the weights are not looked at.

The process that wrote the copy read a stranger's file with native code, so its word counts for nothing: another process
asks here (threat T15).
"""

from __future__ import annotations

from llmsite.store.gguf_header import SPLIT_KEYS, GgufHeader, wrong

# what quantizing writes anew; llama-gguf-split leaves its keys in merged files, and llama.cpp drops them
_CHANGED = frozenset({"general.file_type", "general.quantization_version", "general.alignment"}) | SPLIT_KEYS


def check_quantized(source: GgufHeader, copy: GgufHeader) -> None:
    """Raise `InvalidModelFile` unless `copy` has the source's metadata and tensors, whatever their types, and not a byte more."""
    if source.metadata.keys() - _CHANGED != copy.metadata.keys() - _CHANGED:
        raise wrong("metadata", "has other keys than the source")
    for key in source.metadata.keys() - _CHANGED:
        if source.record(key) != copy.record(key):
            raise wrong(key, "is another than the source's")
    shapes = {tensor.name: tensor.shape for tensor in source.tensors}
    if shapes != {tensor.name: tensor.shape for tensor in copy.tensors}:
        raise wrong("tensors", "are others than the source's")
    if copy.size_bytes != copy.data_end:
        raise wrong("size", f"is {copy.size_bytes} bytes where the header says {copy.data_end}")
