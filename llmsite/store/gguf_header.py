"""Reads the header of a GGUF file that nobody vouches for: metadata and tensor list, each field checked before it is believed.

Runs inside the inspector's limited child. Pure Python; reads the header only, never the weights. Sources: the GGUF
specification (ggml: docs/gguf.md) and what llama.cpp's loader demands (gguf.cpp), so that a wrong file gets a sentence here
instead of an abort there. What the fields mean is told in `gguf.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Final

from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import Limits

NOT_GGUF: Final = "not a valid gguf file"
_SMALLEST_BYTES: Final = 33
_UINT32, _BOOL, _STRING, _ARRAY = 4, 7, 8, 9
_ALIGNMENT: Final = "general.alignment"
# type number: struct letter, bytes
_SCALARS: Final = {
    0: ("B", 1),
    1: ("b", 1),
    2: ("H", 2),
    3: ("h", 2),
    4: ("I", 4),
    5: ("i", 4),
    6: ("f", 4),
    7: ("?", 1),
    10: ("Q", 8),
    11: ("q", 8),
    12: ("d", 8),
}
SPLIT_KEYS: Final = frozenset({"split.no", "split.count", "split.tensors.count"})
"""What a part of a split file says of itself."""
_SHORT_ARRAY: Final = 1024
_READ_BYTES: Final = 1 << 20
_MAX_NAME_BYTES: Final = 63  # GGML_MAX_NAME without the NUL
_LARGEST: Final = 2**63 - 1

# ggml type number: name, elements of a block, bytes of a block (source: ggml.h, ggml-common.h)
TENSOR_TYPES: Final = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor. `shape` is in the file's order (fastest first); `offset` counts from the start of the file."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int

    @property
    def num_elements(self) -> int:
        total = 1
        for length in self.shape:
            total *= length
        return total


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array left where it stands in the header. `kind` is GGUF's type number of its elements."""

    kind: int
    length: int
    _data: bytearray
    _start: int

    @property
    def is_text(self) -> bool:
        return self.kind == _STRING

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        """Every element; text as bytes."""
        if not self.is_text:
            letter, _ = _SCALARS[self.kind]
            yield from struct.unpack_from(f"<{self.length}{letter}", self._data, self._start)
            return
        position, unpack, data = self._start, struct.Struct("<Q").unpack_from, self._data
        for _ in range(self.length):
            (size,) = unpack(data, position)
            yield bytes(data[position + 8 : position + 8 + size])
            position += 8 + size

    def text(self, index: int) -> str:
        """Element `index` of a text array; empty when there is none. Walks there."""
        if not self.is_text or not 0 <= index < self.length:
            return ""
        position, unpack, data = self._start, struct.Struct("<Q").unpack_from, self._data
        for _ in range(index):
            position += 8 + unpack(data, position)[0]
        (size,) = unpack(data, position)
        return bytes(data[position + 8 : position + 8 + size]).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata and tensors of one file. Arrays beyond 1,024 elements, and all of the tokenizer's, are `LongArray`.

    `data_start` is where the first tensor stands, `data_end` where the last one and its padding end.
    """

    metadata: dict[str, Any]
    tensors: tuple[TensorInfo, ...]
    size_bytes: int
    version: int
    alignment: int
    data_start: int
    _data: bytearray
    _records: dict[str, tuple[int, int]]

    @property
    def data_end(self) -> int:
        return max((round_up(each.offset + each.size_bytes, self.alignment) for each in self.tensors), default=self.data_start)

    def record(self, key: str) -> bytes:
        """Key, type and value as they stand in the file."""
        start, end = self._records[key]
        return bytes(self._data[start:end])

    def kind(self, key: str) -> int:
        """GGUF's type number of the value; -1 when there is none."""
        if key not in self._records:
            return -1
        start, _ = self._records[key]
        (num_bytes,) = struct.unpack_from("<Q", self._data, start)
        return int(struct.unpack_from("<I", self._data, start + 8 + num_bytes)[0])


def read_header(file: BinaryIO, size_bytes: int, limits: Limits) -> GgufHeader:
    """The header of a file of `size_bytes`, read from its start. Raises `InvalidModelFile` naming the field."""
    if size_bytes < _SMALLEST_BYTES:
        raise InvalidModelFile(NOT_GGUF)
    cursor = _Cursor(file, size_bytes, limits)
    magic, version, num_tensors, num_keys = struct.unpack("<4sIQQ", cursor.take(24, "header"))
    if magic != b"GGUF" or version not in (2, 3):
        raise InvalidModelFile(NOT_GGUF)
    if num_keys > limits.gguf_keys or num_keys * 13 > size_bytes:
        raise wrong("key count", "is larger than the file or the limit allows")
    if num_tensors > limits.gguf_tensors or num_tensors * 32 > size_bytes:
        raise wrong("tensor count", "is larger than the file or the limit allows")
    metadata, records = _read_metadata(cursor, num_keys)
    declared = [_read_tensor(cursor) for _ in range(num_tensors)]
    alignment = _alignment(metadata)
    start = round_up(cursor.position, alignment)
    tensors = _place_tensors(declared, start, size_bytes, alignment)
    return GgufHeader(metadata, tensors, size_bytes, version, alignment, start, cursor.data, records)


def wrong(field: str, problem: str) -> InvalidModelFile:
    """The error that names a field: raise it."""
    return InvalidModelFile(f"{NOT_GGUF}: {field} {problem}")


class _Cursor:
    """The header as far as it has been read, and a position in it. Bounded by the file and by `gguf_metadata_bytes`."""

    def __init__(self, file: BinaryIO, size_bytes: int, limits: Limits) -> None:
        self.data = bytearray()
        self.position = 0
        self.limits = limits
        self.size_bytes = size_bytes
        self._file = file
        self._end = min(size_bytes, limits.gguf_metadata_bytes)
        self._is_capped = size_bytes > limits.gguf_metadata_bytes

    @property
    def remaining(self) -> int:
        return self._end - self.position

    def ensure(self, num_bytes: int, field: str) -> None:
        """Make `num_bytes` from the position on available in `data`."""
        if num_bytes > self.remaining:
            raise wrong(field, f"ends beyond {self._end} bytes of metadata" if self._is_capped else "ends beyond the file")
        missing = self.position + num_bytes - len(self.data)
        while missing > 0:
            piece = self._file.read(min(max(missing, _READ_BYTES), self._end - len(self.data)))
            if not piece:
                raise wrong(field, "ends beyond the file")
            self.data += piece
            missing -= len(piece)

    def take(self, num_bytes: int, field: str) -> bytes:
        self.ensure(num_bytes, field)
        start = self.position
        self.position += num_bytes
        return bytes(self.data[start : self.position])

    def number(self, letter: str, num_bytes: int, field: str) -> Any:
        self.ensure(num_bytes, field)
        (value,) = struct.unpack_from(f"<{letter}", self.data, self.position)
        self.position += num_bytes
        return value

    def text(self, field: str, longest: int) -> str:
        """A length and that many bytes of UTF-8; broken sequences become U+FFFD."""
        size = self.number("Q", 8, field)
        if size > longest:
            raise wrong(field, f"is longer than {longest} bytes")
        return self.take(size, field).decode(errors="replace")

    def skip_texts(self, count: int, field: str) -> None:
        """Pass over `count` strings, checking that each lies inside. Quick, since vocabularies have 150,000 of them."""
        longest, unpack = self.limits.gguf_string_bytes, struct.Struct("<Q").unpack_from
        data, position, available = self.data, self.position, len(self.data) - 8
        for _ in range(count):
            if position > available:
                self.position = position
                self.ensure(8, field)
                available = len(data) - 8
            size = unpack(data, position)[0]
            if size > longest:
                raise wrong(field, f"holds a text longer than {longest} bytes")
            position += 8 + size
        self.position = position
        self.ensure(0, field)


def _read_metadata(cursor: _Cursor, num_keys: int) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """Values by key, and where each record stands."""
    metadata: dict[str, Any] = {}
    records: dict[str, tuple[int, int]] = {}
    for index in range(num_keys):
        start = cursor.position
        key = cursor.text(f"key {index}", 65_535)
        if not key or key in metadata:
            raise wrong(f"key {index}", f'"{shown(key)}" is empty or stands there twice')
        metadata[key] = _read_value(cursor, cursor.number("I", 4, f"type of {shown(key)}"), shown(key))
        records[key] = start, cursor.position
    return metadata, records


def shown(text: str) -> str:
    """A name from the file, fit for an error text: printable and short."""
    return "".join(each if each.isprintable() else "?" for each in text[:64])


def _read_value(cursor: _Cursor, kind: int, key: str) -> Any:
    if key == _ALIGNMENT and kind != _UINT32:  # llama.cpp takes no other
        raise wrong(key, "is not an unsigned 32-bit number")
    if kind == _STRING:
        return cursor.text(key, cursor.limits.gguf_string_bytes)
    if kind == _ARRAY:
        return _read_array(cursor, key)
    if kind not in _SCALARS:
        raise wrong(key, f"has the unknown type {kind}")
    if kind == _BOOL:
        return _read_bool(cursor, key)
    return cursor.number(*_SCALARS[kind], key)


def _read_bool(cursor: _Cursor, key: str) -> bool:
    value = cursor.number("B", 1, key)
    if value > 1:
        raise wrong(key, "is neither true nor false")
    return bool(value)


def _read_array(cursor: _Cursor, key: str) -> Any:
    kind, count = cursor.number("I", 4, key), cursor.number("Q", 8, key)
    if kind != _STRING and kind not in _SCALARS:
        raise wrong(key, f"is an array of the unknown type {kind}")
    smallest = 8 if kind == _STRING else _SCALARS[kind][1]
    if count > cursor.limits.gguf_array or count * smallest > cursor.remaining:
        raise wrong(key, "has more elements than the file or the limit allows")
    array = LongArray(kind, count, cursor.data, cursor.position)
    if kind == _STRING:
        cursor.skip_texts(count, key)
    else:
        cursor.ensure(count * smallest, key)
        cursor.position += count * smallest
    if count > _SHORT_ARRAY or key.startswith("tokenizer."):
        return array
    return tuple(each.decode(errors="replace") if kind == _STRING else each for each in array)


def _alignment(metadata: dict[str, Any]) -> int:
    alignment: int = metadata.get(_ALIGNMENT, 32)
    if alignment <= 0 or alignment & (alignment - 1):
        raise wrong(_ALIGNMENT, "is not a power of two")
    return alignment


def _read_tensor(cursor: _Cursor) -> TensorInfo:
    """The next entry of the list, its offset still relative to the first tensor."""
    name = cursor.text("tensor name", _MAX_NAME_BYTES)
    field = f'tensor "{shown(name)}"'
    num_dims = cursor.number("I", 4, field)
    if not 1 <= num_dims <= cursor.limits.gguf_dims:
        raise wrong(field, f"has {num_dims} dimensions; 1 to {cursor.limits.gguf_dims} are allowed")
    shape = struct.unpack(f"<{num_dims}Q", cursor.take(8 * num_dims, field))
    kind, offset = struct.unpack("<IQ", cursor.take(12, field))
    if kind not in TENSOR_TYPES:
        raise wrong(field, f"has the unknown type {kind}")
    type_name, block, block_bytes = TENSOR_TYPES[kind]
    num_elements = 1
    for length in shape:
        num_elements *= length
        if not 0 < num_elements <= _LARGEST:
            raise wrong(field, "has a dimension of 0, or more elements than can be counted")
    if shape[0] % block:
        raise wrong(field, f"has rows of {shape[0]} elements, not a multiple of {block} as its type {type_name} needs")
    return TensorInfo(name, type_name, shape, offset, num_elements // block * block_bytes)


def _place_tensors(declared: list[TensorInfo], start: int, size_bytes: int, alignment: int) -> tuple[TensorInfo, ...]:
    """Tensors with offsets in the file. They stand one after another, each at a multiple of `alignment`, as llama.cpp demands."""
    names: set[str] = set()
    placed: list[TensorInfo] = []
    expected = 0
    for tensor in declared:
        field = f'tensor "{shown(tensor.name)}"'
        if tensor.name in names:
            raise wrong(field, "stands there twice")
        names.add(tensor.name)
        if start + tensor.offset + tensor.size_bytes > size_bytes:
            raise InvalidModelFile(f"{field} lies outside the file")
        if tensor.offset != expected:
            raise InvalidModelFile(f"{field} has offset {tensor.offset}, expected {expected}")
        expected = round_up(tensor.offset + tensor.size_bytes, alignment)
        placed.append(replace(tensor, offset=start + tensor.offset))
    return tuple(placed)


def round_up(value: int, step: int) -> int:
    """The next multiple of `step`."""
    return (value + step - 1) // step * step
