"""Joins the parts of a split GGUF to one file, which everything that reads models understands.

Each part has a header with a list of its own tensors; the first one also has the metadata. The whole has the metadata without the
`split.*` keys, all lists behind one another, and the weights of each part as they stand.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from llmsite.registry.steps import Check
from llmsite.store.blob_writer import BlobWriter
from llmsite.store.blobs import BlobStore
from llmsite.store.gguf_header import TENSOR_TYPES, GgufHeader, read_header, round_up
from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import MIB, Limits

_OWN_KEYS: Final = ("split.no", "split.count", "split.tensors.count")
_TYPE_NUMBERS: Final = {name: number for number, (name, _, _) in TENSOR_TYPES.items()}


def join_parts(blobs: BlobStore, digests: Sequence[str], check: Check) -> str:
    """Store the whole of these parts, in order; returns its digest. Blocks. Raises `InvalidModelFile`, `StorageFull`."""
    paths = [blobs.checked_path(digest) for digest in digests]
    headers = [_read(path, blobs.limits) for path in paths]
    _require_order(headers)
    blobs.require_space(sum(header.data_end - header.data_start for header in headers))
    with blobs.writer() as writer:
        writer.write(_header(headers))
        _pad(writer, headers[0].alignment)
        for path, header in zip(paths, headers, strict=True):
            _copy(path, header, writer, check)
            _pad(writer, header.alignment)
        return writer.commit()


def _read(path: Path, limits: Limits) -> GgufHeader:
    with path.open("rb") as file:
        return read_header(file, path.stat().st_size, limits)


def _require_order(headers: Sequence[GgufHeader]) -> None:
    for number, header in enumerate(headers):
        if header.metadata.get("split.no") != number or header.metadata.get("split.count") != len(headers):
            raise InvalidModelFile("the parts of the split GGUF do not belong together")
    if len({header.alignment for header in headers}) > 1 or len({header.version for header in headers}) > 1:
        raise InvalidModelFile("the parts of the split GGUF do not belong together")


def _header(headers: Sequence[GgufHeader]) -> bytes:
    first = headers[0]
    records = [first.record(key) for key in first.metadata if key not in _OWN_KEYS]
    num_tensors = sum(len(header.tensors) for header in headers)
    pieces = [struct.pack("<4sIQQ", b"GGUF", first.version, num_tensors, len(records)), *records]
    offset = 0
    for header in headers:
        for tensor in header.tensors:
            name = tensor.name.encode()
            pieces.append(struct.pack("<Q", len(name)) + name)
            pieces.append(struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape))
            pieces.append(struct.pack("<IQ", _TYPE_NUMBERS[tensor.type], offset))
            offset = round_up(offset + tensor.size_bytes, header.alignment)
    return b"".join(pieces)


def _copy(path: Path, header: GgufHeader, writer: BlobWriter, check: Check) -> None:
    with path.open("rb") as file:
        file.seek(header.data_start)
        left = min(header.data_end, header.size_bytes) - header.data_start
        while left > 0 and (piece := file.read(min(left, MIB))):
            check()
            writer.write(piece)
            left -= len(piece)


def _pad(writer: BlobWriter, alignment: int) -> None:
    writer.write(bytes(-writer.num_bytes % alignment))
