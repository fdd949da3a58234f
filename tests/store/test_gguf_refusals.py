"""GGUF headers of wrong files: each is refused with a sentence that names the field (threats T10 to T14)."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmsite.store.gguf import GgufHeader, gather_facts
from llmsite.store.gguf_header import TENSOR_TYPES
from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import Limits
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
    facts,
    model_metadata,
    read,
    scalar,
    text,
)

HUGE = 2**64 - 1


def refuse(data: bytes, problem: str, limits: Limits | None = None) -> None:
    with pytest.raises(InvalidModelFile, match=problem):
        facts(data, limits)


@pytest.mark.parametrize("length", range(33))
def test_T10_a_file_of_up_to_32_bytes(length: int) -> None:
    refuse(GgufFile().encode()[:length], "^not a valid gguf file$")


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(GgufFile(magic=b"GGML"), id="magic"),
        pytest.param(GgufFile(magic=b"FUGG"), id="magic turned round"),
        pytest.param(GgufFile(magic=b"\0\0\0\0"), id="zeros"),
        pytest.param(GgufFile(version=0), id="version 0"),
        pytest.param(GgufFile(version=1), id="version 1"),
        pytest.param(GgufFile(version=4), id="version 4"),
        pytest.param(GgufFile(version=3 << 24), id="other byte order"),
    ],
)
def test_T10_wrong_magic_version_and_byte_order(file: GgufFile) -> None:
    refuse(file.encode(), "^not a valid gguf file$")


def test_T10_every_shorter_file_is_refused() -> None:
    """Every prefix of the header; and the weights' last byte counts as well."""
    data, num_header = GgufFile().encode(), len(GgufFile().header())
    for length in [*range(num_header + 1), len(data) - 1]:
        refuse(data[:length], "^not a valid gguf file|lies outside the file$")
    facts(data)


def test_a_file_that_shrinks_while_it_is_read_is_refused() -> None:
    data = GgufFile().encode()
    with pytest.raises(InvalidModelFile, match="ends beyond the file"):
        read(data[:300], size_bytes=len(data))


@pytest.mark.parametrize("count", [1_000, 65_537, 2**32, 2**63, HUGE])
@pytest.mark.parametrize("field", ["num_keys", "num_tensors"])
def test_T11_counts_larger_than_the_file(field: str, count: int) -> None:
    file = GgufFile(data_bytes=0, tensors=[])
    setattr(file, field, count)
    refuse(file.encode(), f"{'key' if field == 'num_keys' else 'tensor'} count|^not a valid gguf file: (key|tensor|type)")


@pytest.mark.parametrize("length", [2**20, 2**31, 2**32, 2**63 - 1, 2**63, HUGE - 7, HUGE])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: {"k": struct.pack("<I", TEXT) + struct.pack("<Q", n) + b"x"}, id="text"),
        pytest.param(lambda n: {"k": array(U8, [1], n)}, id="bytes"),
        pytest.param(lambda n: {"k": array(F64, [1.0], n)}, id="doubles"),
        pytest.param(lambda n: {"k": array(TEXT, ["x"], n)}, id="texts"),
        pytest.param(lambda n: {"k": array(BOOL, [True], n)}, id="flags"),
        pytest.param(lambda n: {"k": struct.pack("<IIQ", 9, TEXT, 1) + struct.pack("<Q", n) + b"x"}, id="a text in an array"),
    ],
)
def test_T11_lengths_larger_than_the_file(make: object, length: int) -> None:
    assert callable(make)
    file = GgufFile(model_metadata() | make(length), data_bytes=0, tensors=[])
    refuse(file.encode(), "^not a valid gguf file: k ")


def test_T11_a_key_name_larger_than_the_file() -> None:
    for length in (65_536, 2**32, HUGE):
        data = bytearray(GgufFile().encode())
        data[24:32] = struct.pack("<Q", length)
        refuse(bytes(data), "^not a valid gguf file: key 0 is longer than 65535 bytes$")


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (Limits(gguf_keys=14), "key count"),
        (Limits(gguf_tensors=2), "tensor count"),
        (Limits(gguf_string_bytes=4), "general.architecture is longer than 4 bytes"),
        (Limits(gguf_array=3), "tokenizer.ggml.tokens has more elements"),
        (Limits(gguf_dims=1), "has 2 dimensions; 1 to 1"),
        (Limits(gguf_blocks=1), "llama.block_count is 2; 0 to 1"),
        (Limits(gguf_metadata_bytes=300), "ends beyond 300 bytes of metadata"),
        (Limits(template_bytes=5), "tokenizer.chat_template is longer than 5 bytes"),
    ],
)
def test_T11_every_limit_is_held(limits: Limits, problem: str) -> None:
    refuse(GgufFile().encode(), re.escape(problem), limits)


@pytest.mark.parametrize(
    "value",
    [
        scalar(U32, 0),
        scalar(U32, 3),
        scalar(U32, 33),
        scalar(I32, -32),
        scalar(TEXT, "32"),
        scalar(F32, 32.0),
        scalar(BOOL, True),
    ],
)
def test_T11_alignment_is_a_power_of_two(value: bytes) -> None:
    refuse(GgufFile(model_metadata() | {"general.alignment": value}).encode(), "general.alignment is not a power of two")


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        pytest.param(Tensor("t", (1, 1, 1, 1, 1)), 'tensor "t" has 5 dimensions', id="5 dimensions"),
        pytest.param(Tensor("t", (), num_dims=0), 'tensor "t" has 0 dimensions', id="no dimension"),
        pytest.param(Tensor("t", (1,), num_dims=2**32 - 1), "dimensions; 1 to 4 are allowed", id="4 billion dimensions"),
        pytest.param(Tensor("t", (0, 4)), "dimension of 0", id="dimension 0"),
        pytest.param(Tensor("t", (4, 0)), "dimension of 0", id="second dimension 0"),
        pytest.param(Tensor("t", (2**32, 2**32)), "more elements than can be counted", id="64 bits overflow"),
        pytest.param(Tensor("t", (2**63, 2)), "more elements than can be counted", id="sign overflow"),
        pytest.param(Tensor("t", (HUGE, HUGE, HUGE, HUGE)), "more elements than can be counted", id="all huge"),
        pytest.param(Tensor("t", (2**62,)), 'tensor "t" lies outside the file', id="4 exabytes"),
        pytest.param(
            Tensor("t", (16,), kind=2), "rows of 16 elements, not a multiple of 32 as its type Q4_0 needs", id="half a block"
        ),
        pytest.param(Tensor("t", (32,), kind=4), "unknown type 4", id="removed type"),
        pytest.param(Tensor("t", (32,), kind=2**32 - 1), "unknown type", id="unknown type"),
        pytest.param(Tensor("x" * 64, (1,)), "tensor name is longer than 63 bytes", id="long name"),
        pytest.param(Tensor("t", (1,), offset=HUGE), 'tensor "t" lies outside the file', id="offset at the end of the world"),
        pytest.param(Tensor("a\x1b[31m\n", (0,)), r'tensor "a\?\[31m\?" has', id="a name with escapes"),
    ],
)
def test_T11_tensor_shapes(tensor: Tensor, problem: str) -> None:
    refuse(GgufFile(tensors=[tensor]).encode(), problem)


def test_T12_mutated_offsets_and_sizes() -> None:
    """Each tensor's offset and each dimension at its boundary and one beside it: only the right file is taken."""
    right = GgufFile()
    for index, tensor in enumerate(right.tensors):
        for offset in (
            0,
            1,
            tensor.offset - 32,
            tensor.offset - 1,
            tensor.offset + 1,
            tensor.offset + 32,
            right.data_bytes,
            2**63,
        ):
            if offset == tensor.offset or offset < 0:
                continue
            file = GgufFile()
            file.tensors[index].offset = offset
            refuse(file.encode(), r'tensor "\S+" (lies outside the file|has offset)')
    for change, problem in ((1, "has offset"), (0, None), (-1, "lies outside the file")):
        file = GgufFile()
        file.data_bytes += min(0, change)
        file.tensors[1].shape = (64, 64 + (max(0, change)))
        if problem:
            refuse(file.encode(), problem)
        else:
            facts(file.encode())


@pytest.mark.parametrize("kind", [0, 1, 8, 12, 30, 39])
def test_T12_the_last_byte_of_every_type_lies_inside(kind: int) -> None:
    _, block, block_bytes = TENSOR_TYPES[kind]
    file = GgufFile(tensors=[Tensor("t", (block, 3), kind)], data_bytes=3 * block_bytes)
    facts(file.encode())
    file.data_bytes -= 1
    refuse(file.encode(), 'tensor "t" lies outside the file')


def test_T12_overlapping_and_doubled_tensors() -> None:
    one, two = Tensor("a", (64,), 0, 0), Tensor("b", (64,), 0, 128)
    refuse(GgufFile(tensors=[one, two]).encode(), 'tensor "b" has offset 128, expected 256')
    refuse(GgufFile(tensors=[one, Tensor("a", (64,), 0, 256)]).encode(), 'tensor "a" stands there twice')


T13 = [
    pytest.param(
        {"tokenizer.ggml.tokens": array(U8, [1, 2, 3, 4])}, "tokenizer.ggml.tokens is not an array of texts", id="tokens of bytes"
    ),
    pytest.param({"tokenizer.ggml.tokens": scalar(U32, 4)}, "tokenizer.ggml.tokens is not an array", id="tokens is a number"),
    pytest.param({"tokenizer.ggml.scores": array(U8, [0] * 4)}, "scores is not an array of 32-bit floats", id="scores of bytes"),
    pytest.param(
        {"tokenizer.ggml.scores": array(F64, [0.0] * 4)}, "scores is not an array of 32-bit floats", id="scores of doubles"
    ),
    pytest.param({"tokenizer.ggml.scores": array(F32, [0.0] * 3)}, "scores has another length than", id="a score too few"),
    pytest.param({"tokenizer.ggml.scores": array(F32, [0.0] * 5)}, "scores has another length than", id="a score too many"),
    pytest.param(
        {"tokenizer.ggml.token_type": array(U8, [1] * 4)}, "token_type is not an array of 32-bit numbers", id="types of bytes"
    ),
    pytest.param({"tokenizer.ggml.token_type": array(I32, [1] * 3)}, "token_type has another length", id="a type too few"),
    pytest.param({"tokenizer.ggml.token_type": array(I32, [])}, "token_type has another length", id="no types"),
    pytest.param({"tokenizer.ggml.merges": array(I32, [1])}, "merges is not an array of texts", id="merges of numbers"),
    pytest.param(
        {"tokenizer.ggml.token_type": array(I32, [1, 1, 3, 6])}, "at 3 a byte token that names no byte", id="byte token </s>"
    ),
    *[
        pytest.param(
            {"tokenizer.ggml.tokens": array(TEXT, ["a", word, "b", "c"]), "tokenizer.ggml.token_type": array(I32, [1, 6, 1, 1])},
            "at 1 a byte token that names no byte",
            id=f"byte token {word!r}",
        )
        for word in ("<0x-1>", "<0x>", "<0x1>", "<0x100>", "<0xGG>", "", "<0x41> ")
    ],
    pytest.param({"llama.block_count": scalar(U32, 513)}, "llama.block_count is 513; 0 to 512 are allowed", id="513 blocks"),
    pytest.param({"llama.block_count": scalar(U32, 0)}, "llama.block_count is missing or 0", id="no block"),
    pytest.param({"llama.block_count": scalar(I32, -1)}, "llama.block_count is -1", id="-1 blocks"),
    pytest.param({"llama.block_count": scalar(F32, 2.0)}, "llama.block_count is not a whole number", id="2.0 blocks"),
    pytest.param({"llama.block_count": scalar(BOOL, True)}, "llama.block_count is not a whole number", id="true blocks"),
    pytest.param(
        {"llama.embedding_length": scalar(TEXT, "64")}, "llama.embedding_length is not a whole number", id="width in words"
    ),
    pytest.param({"llama.context_length": scalar(U64, 2**40)}, "llama.context_length is 1099511627776", id="a context of 2^40"),
    pytest.param({"llama.attention.head_count": scalar(U32, 65_537)}, "head_count is 65537", id="many heads"),
    pytest.param(
        {"llama.attention.head_count_kv": array(I32, [2])}, "head_count_kv has 1 elements for 2 layers", id="heads of one layer"
    ),
    pytest.param({"llama.attention.head_count_kv": array(I32, [2, -2])}, "head_count_kv holds something else", id="-2 heads"),
    pytest.param(
        {"llama.attention.head_count_kv": array(TEXT, ["2", "2"])}, "head_count_kv holds something else", id="heads in words"
    ),
    pytest.param({"tokenizer.chat_template": scalar(U32, 1)}, "tokenizer.chat_template is not a text", id="template is a number"),
    pytest.param({"general.architecture": scalar(U32, 1)}, "general.architecture is not a text", id="architecture is a number"),
    pytest.param({"general.architecture": scalar(TEXT, "")}, "general.architecture is missing or no word", id="no architecture"),
    pytest.param(
        {"general.architecture": scalar(TEXT, "../x\n")},
        "general.architecture is missing or no word",
        id="architecture is a path",
    ),
    pytest.param(
        {"general.architecture": scalar(TEXT, "qwen2")}, "qwen2.block_count is missing or 0", id="another architecture's fields"
    ),
    pytest.param(
        {"tokenizer.ggml.precompiled_charsmap": array(U8, [1, 2])}, "charsmap is shorter than it says", id="charsmap of 2 bytes"
    ),
    pytest.param(
        {"tokenizer.ggml.precompiled_charsmap": array(U8, [8, 0, 0, 0, 1])}, "charsmap is shorter", id="charsmap too short"
    ),
    pytest.param(
        {"tokenizer.ggml.precompiled_charsmap": array(I32, [8, 0])}, "charsmap is not an array of bytes", id="charsmap of numbers"
    ),
    pytest.param({"split.count": scalar(TEXT, "x")}, "split.count is not a whole number", id="split in words"),
    pytest.param({"k": struct.pack("<I", 13) + b"\0" * 8}, "k has the unknown type 13", id="unknown value type"),
    pytest.param({"k": struct.pack("<IIQ", 9, 9, 1) + b"\0" * 16}, "k is an array of the unknown type 9", id="array of arrays"),
    pytest.param({"k": struct.pack("<IB", BOOL, 2)}, "k is neither true nor false", id="a third truth"),
    pytest.param({"": scalar(U32, 1)}, 'key 15 "" is empty or stands there twice', id="a key without a name"),
]


@pytest.mark.parametrize(("changes", "problem"), T13)
def test_T13_fields_of_the_wrong_type_or_size(changes: dict[str, bytes], problem: str) -> None:
    refuse(GgufFile(model_metadata() | changes).encode(), re.escape(problem))


def test_T13_a_key_that_stands_there_twice() -> None:
    file = GgufFile(num_keys=16)
    file.metadata["last"] = scalar(U32, 1)
    data = file.encode().replace(text("last"), text("general.file_type"))
    refuse(data + b"\0" * 64, '"general.file_type" is empty or stands there twice')


def test_T13_a_model_without_tensors() -> None:
    refuse(GgufFile(tensors=[], data_bytes=64).encode(), "tensor count is 0")


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


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"clip.vision.attention.head_count": scalar(U32, 0)}, "head_count does not divide", id="no heads"),
        pytest.param({"clip.vision.attention.head_count": scalar(U32, 5)}, "head_count does not divide", id="5 heads"),
        pytest.param({"clip.vision.patch_size": scalar(U32, 0)}, "patch_size is 0", id="no patch"),
        pytest.param({"clip.vision.patch_size": scalar(U32, 57)}, "patch_size is 0 or larger", id="large patch"),
        pytest.param({"clip.vision.image_size": scalar(U32, 2**31)}, "image_size is 2147483648", id="large picture"),
        pytest.param({"clip.vision.image_mean": array(F32, [0.5])}, "image_mean is not three floats", id="one mean"),
        pytest.param({"clip.vision.image_std": array(I32, [1, 1, 1])}, "image_std is not three floats", id="whole deviations"),
        pytest.param({"clip.vision.block_count": scalar(U32, 4096)}, "vision.block_count is 4096", id="4096 blocks"),
    ],
)
def test_T14_projectors_with_inconsistent_sizes(changes: dict[str, bytes], problem: str) -> None:
    assert facts(GgufFile(VISION).encode()).is_projector
    refuse(GgufFile(VISION | changes).encode(), problem)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        pytest.param([Tensor("a.lora_a", (64, 8))], 'tensor "a.lora_a" has no other half', id="no b"),
        pytest.param([Tensor("a.lora_b", (8, 64))], 'tensor "a.lora_b" has no other half', id="no a"),
        pytest.param(
            [Tensor("a.lora_a", (64, 8)), Tensor("a.lora_b", (7, 64), 0, 2048)], "does not fit its other half", id="ranks"
        ),
        pytest.param([Tensor("a.lora_a", (64, 8, 2)), Tensor("a.lora_b", (8, 64, 3), 0, 4096)], "does not fit", id="experts"),
        pytest.param([Tensor("a.lora_a", (64,)), Tensor("a.lora_b", (64,), 0, 256)], "does not fit", id="vectors"),
    ],
)
def test_T14_adapters_that_do_not_fit_together(tensors: list[Tensor], problem: str) -> None:
    metadata = {"general.architecture": scalar(TEXT, "llama"), "general.type": scalar(TEXT, "adapter")}
    refuse(GgufFile(metadata, tensors, data_bytes=16384).encode(), problem)


RIGHT = GgufFile().header()


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(position=st.integers(0, len(RIGHT) - 1), patch=st.binary(min_size=1, max_size=9))
def test_any_mutation_is_read_or_refused(position: int, patch: bytes) -> None:
    """Whatever stands in the header: facts or our error, never another."""
    data = bytearray(GgufFile().encode())
    data[position : position + len(patch)] = patch
    outcome = read_or_refuse(bytes(data))
    if isinstance(outcome, InvalidModelFile):
        assert len(str(outcome)) < 300
        assert str(outcome).isprintable()
    else:
        assert all(tensor.offset + tensor.size_bytes <= len(data) for tensor in outcome.tensors)


def read_or_refuse(data: bytes) -> GgufHeader | InvalidModelFile:
    try:
        header = read(data)
        gather_facts(header)
    except InvalidModelFile as error:
        return error
    return header
