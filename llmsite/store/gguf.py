"""GGUF headers: metadata and tensor list of an untrusted file, every field checked before it is believed.

Runs inside the inspector's limited child. Pure Python, reads only the header, never the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

from llmsite.store.facts import GgufFacts
from llmsite.types.limits import Limits

__all__ = ["GgufFacts", "GgufHeader", "TensorInfo", "gather_facts", "read_header"]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: `shape` is in the file's order (fastest first), `offset` counts from the start of the file."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata and tensors. Long arrays are `LongArray` unless the reader was asked for everything."""

    metadata: dict[str, Any]
    tensors: tuple[TensorInfo, ...]
    size_bytes: int


def read_header(file: BinaryIO, size_bytes: int, limits: Limits, *, verbose: bool = False) -> GgufHeader:
    """The header of a file of `size_bytes`. Raises `InvalidModelFile` naming the field."""
    raise NotImplementedError


def gather_facts(header: GgufHeader) -> GgufFacts:
    """What to know of the file. Raises `InvalidModelFile` naming the field."""
    raise NotImplementedError
