"""Writes GGUF files byte by byte, right ones and wrong ones. Independent of the reader under test and of any library."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llmsite.store.gguf import GgufFacts, GgufHeader, gather_facts, read_header
from llmsite.types.limits import Limits

U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64 = range(13)
_LETTERS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d"}


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def scalar(kind: int, value: Any) -> bytes:
    """A metadata value with its type."""
    return struct.pack("<I", kind) + _content(kind, value)


def array(kind: int, values: Sequence[Any], length: int | None = None) -> bytes:
    """A metadata array; `length` overrides the declared one."""
    declared = len(values) if length is None else length
    return struct.pack("<IIQ", ARRAY, kind, declared) + b"".join(_content(kind, each) for each in values)


def _content(kind: int, value: Any) -> bytes:
    return text(value) if kind == TEXT else struct.pack(f"<{_LETTERS[kind]}", value)


@dataclass
class Tensor:
    """An entry of the tensor list; every field as declared, right or wrong."""

    name: str | bytes
    shape: Sequence[int]
    kind: int = 0
    offset: int = 0
    num_dims: int | None = None

    def encode(self) -> bytes:
        num_dims = len(self.shape) if self.num_dims is None else self.num_dims
        return text(self.name) + struct.pack(f"<I{len(self.shape)}QIQ", num_dims, *self.shape, self.kind, self.offset)


def model_metadata() -> dict[str, bytes]:
    """A small model with two layers, as raw values."""
    return {
        "general.architecture": scalar(TEXT, "llama"),
        "general.file_type": scalar(U32, 1),
        "llama.block_count": scalar(U32, 2),
        "llama.context_length": scalar(U32, 512),
        "llama.embedding_length": scalar(U32, 64),
        "llama.attention.head_count": scalar(U32, 4),
        "llama.attention.head_count_kv": scalar(U32, 2),
        "tokenizer.ggml.model": scalar(TEXT, "gpt2"),
        "tokenizer.ggml.tokens": array(TEXT, ["a", "b", "<s>", "</s>"]),
        "tokenizer.ggml.token_type": array(I32, [1, 1, 3, 3]),
        "tokenizer.ggml.scores": array(F32, [0.0, 0.0, 0.0, 0.0]),
        "tokenizer.ggml.merges": array(TEXT, ["a b"]),
        "tokenizer.ggml.bos_token_id": scalar(U32, 2),
        "tokenizer.ggml.eos_token_id": scalar(U32, 3),
        "tokenizer.chat_template": scalar(TEXT, "{{ messages }}"),
    }


def model_tensors() -> list[Tensor]:
    return [
        Tensor("token_embd.weight", (64, 4), 1, 0),
        Tensor("blk.0.attn_q.weight", (64, 64), 1, 512),
        Tensor("blk.1.attn_q.weight", (64, 64), 0, 512 + 8192),
    ]


MODEL_DATA_BYTES = 512 + 8192 + 16384


@dataclass
class GgufFile:
    """A file under construction. The defaults make a right one; each field may be made wrong."""

    metadata: dict[str, bytes] = field(default_factory=model_metadata)
    tensors: list[Tensor] = field(default_factory=model_tensors)
    data_bytes: int = MODEL_DATA_BYTES
    magic: bytes = b"GGUF"
    version: int = 3
    num_tensors: int | None = None
    num_keys: int | None = None
    alignment: int = 32

    def header(self) -> bytes:
        num_tensors = len(self.tensors) if self.num_tensors is None else self.num_tensors
        num_keys = len(self.metadata) if self.num_keys is None else self.num_keys
        head = self.magic + struct.pack("<IQQ", self.version, num_tensors, num_keys)
        head += b"".join(text(key) + value for key, value in self.metadata.items())
        return head + b"".join(tensor.encode() for tensor in self.tensors)

    def encode(self) -> bytes:
        head = self.header()
        return head + b"\0" * (-len(head) % self.alignment) + b"\0" * self.data_bytes


def read(data: bytes, limits: Limits | None = None, size_bytes: int | None = None) -> GgufHeader:
    return read_header(io.BytesIO(data), len(data) if size_bytes is None else size_bytes, limits or Limits())


def facts(data: bytes, limits: Limits | None = None) -> GgufFacts:
    return gather_facts(read(data, limits), limits or Limits())
