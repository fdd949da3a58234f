"""Puts the parts of a split GGUF together into the one file they were made of (source: llama.cpp's tools/gguf-split).

The first part has the metadata, every part has tensors and says which it is. Runs inside a limited child, since nobody vouches
for the parts; all is checked before the first byte is written.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from llmsite.store.gguf import GgufFacts, gather_facts
from llmsite.store.gguf_header import SPLIT_KEYS, TENSOR_TYPES, GgufHeader, TensorInfo, read_header, round_up, wrong
from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import MIB, Limits

_NUMBERS: Final = {name: number for number, (name, _, _) in TENSOR_TYPES.items()}
_VERSION: Final = 3
_PIECE_BYTES: Final = 4 * MIB


@dataclass(frozen=True, slots=True)
class Part:
    """One file and what its header says."""

    path: Path
    header: GgufHeader
    facts: GgufFacts


@dataclass(frozen=True, slots=True)
class Merger:
    """Parts in their order, which belong together."""

    parts: tuple[Part, ...]

    @property
    def size_bytes(self) -> int:
        """Of the file to come."""
        return len(self._head()) + self.num_weight_bytes

    @property
    def num_weight_bytes(self) -> int:
        return sum(round_up(tensor.size_bytes, self._alignment) for tensor in self._tensors)

    @property
    def _alignment(self) -> int:
        return self.parts[0].header.alignment

    @property
    def _tensors(self) -> list[TensorInfo]:
        return list(chain.from_iterable(part.header.tensors for part in self.parts))

    def _head(self) -> bytes:
        """Everything before the first tensor: the first part's metadata as it stands there, and all tensors."""
        first, tensors, offset = self.parts[0].header, self._tensors, 0
        keys = [key for key in first.metadata if key not in SPLIT_KEYS]
        head = bytearray(struct.pack("<4sIQQ", b"GGUF", _VERSION, len(tensors), len(keys)))
        for key in keys:
            head += first.record(key)
        for tensor in tensors:
            name = tensor.name.encode()
            head += struct.pack("<Q", len(name)) + name
            head += struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            head += struct.pack("<IQ", _NUMBERS[tensor.type], offset)
            offset += round_up(tensor.size_bytes, self._alignment)
        return bytes(head) + bytes(-len(head) % self._alignment)

    def write(self, target: BinaryIO, on_progress: Callable[[int, int], None]) -> None:
        """Write the file. Blocks; `on_progress` gets bytes done and in all."""
        total, done = self.num_weight_bytes, 0
        target.write(self._head())
        for part in self.parts:
            with part.path.open("rb") as source:
                for tensor in part.header.tensors:
                    on_progress(done, total)
                    _copy(source, tensor, target)
                    target.write(bytes(-tensor.size_bytes % self._alignment))
                    done += round_up(tensor.size_bytes, self._alignment)
        target.flush()
        on_progress(total, total)


def read_parts(paths: Sequence[Path], limits: Limits) -> Merger:
    """The parts that these files are, whatever their order. Raises `InvalidModelFile` unless they are all of one split file."""
    parts = sorted((_read(path, limits) for path in paths), key=lambda part: part.facts.split_index)
    num_parts = parts[0].facts.split_count
    if any(part.facts.split_count != num_parts for part in parts):
        raise InvalidModelFile("the parts of a split GGUF do not agree how many they are")
    if len(parts) != num_parts:
        raise InvalidModelFile(f"a split GGUF has {num_parts} parts, but {len(parts)} were given")
    for index, part in enumerate(parts):
        if part.facts.split_index != index:
            raise InvalidModelFile(f"part {index + 1} of {num_parts} of a split GGUF is missing")
    _check_tensors(parts, limits)
    return Merger(tuple(parts))


def _read(path: Path, limits: Limits) -> Part:
    with path.open("rb") as file:
        header = read_header(file, os.fstat(file.fileno()).st_size, limits)
    return Part(path, header, gather_facts(header, limits))


def _check_tensors(parts: Sequence[Part], limits: Limits) -> None:
    """Each stands in one part, and all are there."""
    names = [tensor.name for part in parts for tensor in part.header.tensors]
    declared = parts[0].header.metadata.get("split.tensors.count", len(names))
    if declared != len(names):
        raise wrong("split.tensors.count", f"is {declared}, but the parts hold {len(names)} tensors")
    if not 0 < len(names) <= limits.gguf_tensors:
        raise wrong("tensor count", f"is {len(names)} in all parts; 1 to {limits.gguf_tensors} are allowed")
    if len(set(names)) != len(names):
        raise InvalidModelFile("a tensor stands in two parts of a split GGUF")


def _copy(source: BinaryIO, tensor: TensorInfo, target: BinaryIO) -> None:
    source.seek(tensor.offset)
    missing = tensor.size_bytes
    while missing:
        piece = source.read(min(missing, _PIECE_BYTES))
        if not piece:
            raise InvalidModelFile(f'tensor "{tensor.name}" ends beyond the file')
        target.write(piece)
        missing -= len(piece)
