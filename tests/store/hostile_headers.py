"""Crafted GGUF files that must be refused (threats T10 to T14), each under its row, with the sentence it gets."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from llmsite.store.gguf_header import TENSOR_TYPES
from tests.store.gguf_files import (
    BOOL,
    F32,
    F64,
    I32,
    TEXT,
    U8,
    U32,
    U64,
    GgufFile,
    Tensor,
    array,
    model_metadata,
    scalar,
)

HUGE = 2**64 - 1
NOT_GGUF = "^not a valid gguf file$"
SMALL_DATA_BYTES = 3 * 64
"""The weights of the model below, so that every file stays below 4 kB."""


@dataclass(frozen=True)
class Hostile:
    """A file and a pattern of its refusal."""

    id: str
    data: bytes
    problem: str


def small() -> GgufFile:
    """The usual model with three tensors of 32, 16 and 8 numbers."""
    tensors = [
        Tensor("token_embd.weight", (8, 4), 1, 0),
        Tensor("blk.0.attn_q.weight", (4, 4), 0, 64),
        Tensor("blk.1.attn_q.weight", (4, 4), 0, 128),
    ]
    return GgufFile(tensors=tensors, data_bytes=SMALL_DATA_BYTES)


def _changed(changes: dict[str, bytes]) -> bytes:
    file = small()
    file.metadata |= changes
    return file.encode()


def t10() -> Iterator[Hostile]:
    """Too short, or no GGUF at all."""
    for length in range(33):
        yield Hostile(f"{length} bytes", small().encode()[:length], NOT_GGUF)
    heads: dict[str, tuple[bytes, int]] = {
        "magic": (b"GGML", 3),
        "magic turned round": (b"FUGG", 3),
        "zeros": (b"\0\0\0\0", 3),
        **{f"version {version}": (b"GGUF", version) for version in (0, 1, 4, 2**32 - 1)},
        "other byte order": (b"GGUF", 3 << 24),
    }
    for name, (magic, version) in heads.items():
        yield Hostile(name, GgufFile(magic=magic, version=version, data_bytes=0).encode(), NOT_GGUF)


_LENGTHS: dict[str, Callable[[int], bytes]] = {
    "text": lambda n: struct.pack("<IQ", TEXT, n) + b"x",
    "bytes": lambda n: array(U8, [1], n),
    "doubles": lambda n: array(F64, [1.0], n),
    "texts": lambda n: array(TEXT, ["x"], n),
    "flags": lambda n: array(BOOL, [True], n),
    "a text in an array": lambda n: struct.pack("<IIQQ", 9, TEXT, 1, n) + b"x",
}
_SHAPES: dict[str, tuple[Tensor, str]] = {
    "5 dimensions": (Tensor("t", (1, 1, 1, 1, 1)), 'tensor "t" has 5 dimensions'),
    "no dimension": (Tensor("t", (), num_dims=0), 'tensor "t" has 0 dimensions'),
    "4 billion dimensions": (Tensor("t", (1,), num_dims=2**32 - 1), "dimensions; 1 to 4 are allowed"),
    "dimension 0": (Tensor("t", (0, 4)), "dimension of 0"),
    "second dimension 0": (Tensor("t", (4, 0)), "dimension of 0"),
    "64 bits overflow": (Tensor("t", (2**32, 2**32)), "more elements than can be counted"),
    "sign overflow": (Tensor("t", (2**63, 2)), "more elements than can be counted"),
    "all huge": (Tensor("t", (HUGE, HUGE, HUGE, HUGE)), "more elements than can be counted"),
    "4 exabytes": (Tensor("t", (2**62,)), 'tensor "t" lies outside the file'),
    "half a block": (Tensor("t", (16,), kind=2), "rows of 16 elements, not a multiple of 32 as its type Q4_0 needs"),
    "removed type": (Tensor("t", (32,), kind=4), "unknown type 4"),
    "unknown type": (Tensor("t", (32,), kind=2**32 - 1), "unknown type"),
    "long name": (Tensor("x" * 64, (1,)), "tensor name is longer than 63 bytes"),
    "offset at the end of the world": (Tensor("t", (1,), offset=HUGE), 'tensor "t" lies outside the file'),
    "a name with escapes": (Tensor("a\x1b[31m\n", (0,)), r'tensor "a\?\[31m\?" has'),
}


def _aligned(kind: int, value: Any) -> dict[str, bytes]:
    return {"general.alignment": scalar(kind, value)}


def t11() -> Iterator[Hostile]:
    """Counts and lengths larger than the file, alignment, shapes."""
    for field in ("key", "tensor"):
        for count in (1_000, 65_537, 2**32, 2**63, HUGE):
            file = GgufFile(data_bytes=0, tensors=[])
            setattr(file, "num_keys" if field == "key" else "num_tensors", count)
            yield Hostile(f"{count} {field}s", file.encode(), f"{field} count|^not a valid gguf file: (key|tensor|type)")
    for what, make in _LENGTHS.items():
        for length in (2**20, 2**31, 2**32, 2**63 - 1, 2**63, HUGE - 7, HUGE):
            file = GgufFile(model_metadata() | {"k": make(length)}, data_bytes=0, tensors=[])
            yield Hostile(f"{what} of {length}", file.encode(), "^not a valid gguf file: k ")
    for length in (65_536, 2**32, HUGE):
        data = bytearray(small().encode())
        data[24:32] = struct.pack("<Q", length)
        yield Hostile(f"a key name of {length}", bytes(data), "^not a valid gguf file: key 0 is longer than 65535 bytes$")
    for number in (0, 3, 33, 2**32 - 1):
        yield Hostile(f"alignment {number}", _changed(_aligned(U32, number)), "general.alignment is not a power of two")
    for what, kind, value in (("signed", I32, 32), ("of 64 bits", U64, 32), ("in words", TEXT, "32"), ("a float", F32, 32.0)):
        yield Hostile(f"alignment {what}", _changed(_aligned(kind, value)), "general.alignment is not an unsigned 32-bit number")
    for name, (tensor, problem) in _SHAPES.items():
        yield Hostile(name, GgufFile(tensors=[tensor], data_bytes=0).encode(), problem)


def t12() -> Iterator[Hostile]:
    """Every offset and every dimension at its boundary and one beside it; what is right at the boundary is no case here."""
    for index, tensor in enumerate(small().tensors):
        right = tensor.offset
        for offset in {0, 1, right - 32, right - 1, right + 1, right + 32, SMALL_DATA_BYTES - 1, SMALL_DATA_BYTES, 2**63}:
            if offset >= 0 and offset != right:
                file = small()
                file.tensors[index].offset = offset
                yield Hostile(f"tensor {index} at {offset}", file.encode(), r'tensor "\S+" (lies outside the file|has offset)')
        for axis in range(2):
            file = small()
            shape = list(tensor.shape)
            shape[axis] += 16
            file.tensors[index].shape = shape
            yield Hostile(
                f"tensor {index} longer on axis {axis}", file.encode(), r'tensor "\S+" (lies outside the file|has offset)'
            )
    file = small()
    file.data_bytes -= 1
    yield Hostile("a byte too few", file.encode(), 'tensor "blk.1.attn_q.weight" lies outside the file')
    for kind, (name, block, block_bytes) in TENSOR_TYPES.items():
        one = GgufFile(tensors=[Tensor("t", (block, 3), kind)], data_bytes=3 * block_bytes - 1)
        yield Hostile(f"a byte too few of {name}", one.encode(), 'tensor "t" lies outside the file')
    first = Tensor("a", (8,), 0, 0)
    for name, second, problem in (
        ("overlap", Tensor("b", (8,), 0, 0), 'tensor "b" has offset 0, expected 32'),
        ("gap", Tensor("b", (8,), 0, 64), 'tensor "b" has offset 64, expected 32'),
        ("twice", Tensor("a", (8,), 0, 32), 'tensor "a" stands there twice'),
    ):
        yield Hostile(name, GgufFile(tensors=[first, second], data_bytes=128).encode(), problem)


_FIELDS: dict[str, tuple[dict[str, bytes], str]] = {
    "tokens of bytes": ({"tokenizer.ggml.tokens": array(U8, [1, 2, 3, 4])}, "tokenizer.ggml.tokens is not an array of texts"),
    "tokens is a number": ({"tokenizer.ggml.tokens": scalar(U32, 4)}, "tokenizer.ggml.tokens is not an array"),
    "scores of bytes": ({"tokenizer.ggml.scores": array(U8, [0] * 4)}, "scores is not an array of 32-bit floats"),
    "scores of doubles": ({"tokenizer.ggml.scores": array(F64, [0.0] * 4)}, "scores is not an array of 32-bit floats"),
    "a score too few": ({"tokenizer.ggml.scores": array(F32, [0.0] * 3)}, "scores has another length than"),
    "a score too many": ({"tokenizer.ggml.scores": array(F32, [0.0] * 5)}, "scores has another length than"),
    "types of bytes": ({"tokenizer.ggml.token_type": array(U8, [1] * 4)}, "token_type is not an array of 32-bit numbers"),
    "a type too few": ({"tokenizer.ggml.token_type": array(I32, [1] * 3)}, "token_type has another length"),
    "no types": ({"tokenizer.ggml.token_type": array(I32, [])}, "token_type has another length"),
    "merges of numbers": ({"tokenizer.ggml.merges": array(I32, [1])}, "merges is not an array of texts"),
    "byte token </s>": ({"tokenizer.ggml.token_type": array(I32, [1, 1, 3, 6])}, "at 3 a byte token that names no byte"),
    **{
        f"byte token {word!r}": (
            {"tokenizer.ggml.tokens": array(TEXT, ["a", word, "b", "c"]), "tokenizer.ggml.token_type": array(I32, [1, 6, 1, 1])},
            "at 1 a byte token that names no byte",
        )
        for word in ("<0x-1>", "<0x>", "<0x1>", "<0x100>", "<0xGG>", "", "<0x41> ")
    },
    "513 blocks": ({"llama.block_count": scalar(U32, 513)}, "llama.block_count is 513; 0 to 512 are allowed"),
    "no block": ({"llama.block_count": scalar(U32, 0)}, "llama.block_count is missing or 0"),
    "-1 blocks": ({"llama.block_count": scalar(I32, -1)}, "llama.block_count is -1"),
    "2.0 blocks": ({"llama.block_count": scalar(F32, 2.0)}, "llama.block_count is not a whole number"),
    "true blocks": ({"llama.block_count": scalar(BOOL, True)}, "llama.block_count is not a whole number"),
    "width in words": ({"llama.embedding_length": scalar(TEXT, "64")}, "llama.embedding_length is not a whole number"),
    "a context of 2^40": ({"llama.context_length": scalar(U64, 2**40)}, "llama.context_length is 1099511627776"),
    "many heads": ({"llama.attention.head_count": scalar(U32, 65_537)}, "head_count is 65537"),
    "heads of one layer": ({"llama.attention.head_count_kv": array(I32, [2])}, "head_count_kv has 1 elements for 2 layers"),
    "-2 heads": ({"llama.attention.head_count_kv": array(I32, [2, -2])}, "head_count_kv holds something else"),
    "heads in words": ({"llama.attention.head_count_kv": array(TEXT, ["2", "2"])}, "head_count_kv holds something else"),
    "template is a number": ({"tokenizer.chat_template": scalar(U32, 1)}, "tokenizer.chat_template is not a text"),
    "architecture is a number": ({"general.architecture": scalar(U32, 1)}, "general.architecture is not a text"),
    "no architecture": ({"general.architecture": scalar(TEXT, "")}, "general.architecture is missing or no word"),
    "architecture is a path": ({"general.architecture": scalar(TEXT, "../x\n")}, "general.architecture is missing or no word"),
    "another architecture's fields": (
        {"general.architecture": scalar(TEXT, "qwen2")},
        "qwen2.block_count is missing or 0",
    ),
    "charsmap of 2 bytes": ({"tokenizer.ggml.precompiled_charsmap": array(U8, [1, 2])}, "charsmap is shorter than it says"),
    "charsmap too short": ({"tokenizer.ggml.precompiled_charsmap": array(U8, [8, 0, 0, 0, 1])}, "charsmap is shorter"),
    "charsmap of numbers": ({"tokenizer.ggml.precompiled_charsmap": array(I32, [8, 0])}, "charsmap is not an array of bytes"),
    "split in words": ({"split.count": scalar(TEXT, "x")}, "split.count is not a whole number"),
    "unknown value type": ({"k": struct.pack("<I", 13) + b"\0" * 8}, "k has the unknown type 13"),
    "array of arrays": ({"k": struct.pack("<IIQ", 9, 9, 1) + b"\0" * 16}, "k is an array of the unknown type 9"),
    "a third truth": ({"k": struct.pack("<IB", BOOL, 2)}, "k is neither true nor false"),
    "a key without a name": ({"": scalar(U32, 1)}, 'key 15 "" is empty or stands there twice'),
}


def t13() -> Iterator[Hostile]:
    """Metadata of the wrong type or size."""
    for name, (changes, problem) in _FIELDS.items():
        yield Hostile(name, _changed(changes), re.escape(problem))
    file = small()
    file.tensors, file.data_bytes = [], 64
    yield Hostile("no tensors", file.encode(), "tensor count is 0")
    file = small()
    file.metadata["general.file_typo"] = scalar(U32, 1)
    doubled = file.encode().replace(b"general.file_typo", b"general.file_type")
    yield Hostile("a key twice", doubled, '"general.file_type" is empty or stands there twice')


VISION = {
    "general.architecture": scalar(TEXT, "clip"),
    "clip.has_vision_encoder": scalar(BOOL, True),
    "clip.vision.block_count": scalar(U32, 2),
    "clip.vision.embedding_length": scalar(U32, 64),
    "clip.vision.attention.head_count": scalar(U32, 4),
    "clip.vision.image_size": scalar(U32, 56),
    "clip.vision.patch_size": scalar(U32, 14),
    "clip.vision.image_mean": array(F32, [0.5] * 3),
    "clip.vision.image_std": array(F32, [0.5] * 3),
}
LORA = {"general.architecture": scalar(TEXT, "llama"), "general.type": scalar(TEXT, "adapter")}
PAIR = (Tensor("a.lora_a", (8, 2)), Tensor("a.lora_b", (2, 8), 0, 64))

_VISION_FIELDS: dict[str, tuple[dict[str, bytes], str]] = {
    "no heads": ({"clip.vision.attention.head_count": scalar(U32, 0)}, "head_count does not divide"),
    "5 heads": ({"clip.vision.attention.head_count": scalar(U32, 5)}, "head_count does not divide"),
    "no patch": ({"clip.vision.patch_size": scalar(U32, 0)}, "patch_size is 0"),
    "large patch": ({"clip.vision.patch_size": scalar(U32, 57)}, "patch_size is 0 or larger"),
    "large picture": ({"clip.vision.image_size": scalar(U32, 2**31)}, "image_size is 2147483648"),
    "one mean": ({"clip.vision.image_mean": array(F32, [0.5])}, "image_mean is not three floats"),
    "whole deviations": ({"clip.vision.image_std": array(I32, [1, 1, 1])}, "image_std is not three floats"),
    "4096 blocks": ({"clip.vision.block_count": scalar(U32, 4096)}, "vision.block_count is 4096"),
}
_FACTORS: dict[str, tuple[tuple[Tensor, ...], str]] = {
    "no b": ((Tensor("a.lora_a", (8, 2)),), 'tensor "a.lora_a" has no other half'),
    "no a": ((Tensor("a.lora_b", (2, 8)),), 'tensor "a.lora_b" has no other half'),
    "ranks": ((PAIR[0], Tensor("a.lora_b", (1, 8), 0, 64)), 'tensor "a.lora_a" does not fit its other half'),
    "experts": (
        (Tensor("x_exps.lora_a", (4, 2, 2)), Tensor("x_exps.lora_b", (2, 4, 3), 0, 64)),
        'tensor "x_exps.lora_a" does not fit its other half',
    ),
    "vectors": ((Tensor("a.lora_a", (8,)), Tensor("a.lora_b", (8,), 0, 32)), "does not fit its other half"),
    "whole numbers": (
        (Tensor("a.lora_a", (8, 2), 26), PAIR[1]),
        'tensor "a.lora_a" is of the type I32, which cannot be multiplied',
    ),
    "a third dimension": (
        (Tensor("a.lora_a", (4, 2, 2)), Tensor("a.lora_b", (2, 4, 2), 0, 64)),
        'tensor "a.lora_a" has 3 dimensions, as only experts and heads may',
    ),
}
_ADAPTER_FIELDS: dict[str, tuple[dict[str, bytes], str]] = {
    "no LoRA": ({"adapter.type": scalar(TEXT, "dora")}, "adapter.type is not lora"),
    "type is a number": ({"adapter.type": scalar(U32, 1)}, "adapter.type is not a text"),
    "alpha is whole": ({"adapter.lora.alpha": scalar(U32, 16)}, "adapter.lora.alpha is not a 32-bit float"),
    "alpha is a double": ({"adapter.lora.alpha": scalar(F64, 16.0)}, "adapter.lora.alpha is not a 32-bit float"),
}


def t14() -> Iterator[Hostile]:
    """Projectors and adapters that contradict themselves."""
    for name, (changes, problem) in _VISION_FIELDS.items():
        yield Hostile(f"projector, {name}", GgufFile(VISION | changes, small().tensors, SMALL_DATA_BYTES).encode(), problem)
    for name, (tensors, problem) in _FACTORS.items():
        yield Hostile(f"adapter, {name}", GgufFile(dict(LORA), list(tensors), data_bytes=256).encode(), problem)
    for name, (changes, problem) in _ADAPTER_FIELDS.items():
        yield Hostile(f"adapter, {name}", GgufFile(LORA | changes, list(PAIR), data_bytes=256).encode(), problem)
