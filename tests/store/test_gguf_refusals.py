"""GGUF headers of wrong files: each is refused with a sentence that names the field (threats T10 to T14)."""

from __future__ import annotations

import re
from operator import attrgetter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmsite.store.gguf import GgufHeader, gather_facts
from llmsite.store.gguf_header import TENSOR_TYPES
from llmsite.types.errors import InvalidModelFile
from llmsite.types.limits import Limits
from tests.store.gguf_files import GgufFile, Tensor, facts, read
from tests.store.hostile_headers import LORA, PAIR, VISION, Hostile, small, t10, t11, t12, t13, t14


def refuse(data: bytes, problem: str, limits: Limits | None = None) -> None:
    with pytest.raises(InvalidModelFile, match=problem):
        facts(data, limits)


T10, T11, T12, T13, T14 = list(t10()), list(t11()), list(t12()), list(t13()), list(t14())


def refuse_case(case: Hostile) -> None:
    refuse(case.data, case.problem)


@pytest.mark.parametrize("case", T10, ids=attrgetter("id"))
def test_T10_a_file_that_is_no_gguf(case: Hostile) -> None:
    refuse_case(case)


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


@pytest.mark.parametrize("case", T11, ids=attrgetter("id"))
def test_T11_counts_lengths_and_shapes_that_cannot_be(case: Hostile) -> None:
    refuse_case(case)


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


@pytest.mark.parametrize("case", T12, ids=attrgetter("id"))
def test_T12_tensors_beside_their_place(case: Hostile) -> None:
    refuse_case(case)


@pytest.mark.parametrize("kind", TENSOR_TYPES)
def test_T12_the_last_byte_of_every_type_may_be_the_last_of_the_file(kind: int) -> None:
    _, block, block_bytes = TENSOR_TYPES[kind]
    facts(GgufFile(tensors=[Tensor("t", (block, 3), kind)], data_bytes=3 * block_bytes).encode())


@pytest.mark.parametrize("case", T13, ids=attrgetter("id"))
def test_T13_fields_of_the_wrong_type_or_size(case: Hostile) -> None:
    refuse_case(case)


@pytest.mark.parametrize("case", T14, ids=attrgetter("id"))
def test_T14_projectors_and_adapters_that_contradict_themselves(case: Hostile) -> None:
    refuse_case(case)


def test_what_the_hostile_files_are_made_of_is_right() -> None:
    assert facts(small().encode()).kind == "model"
    assert facts(GgufFile(VISION).encode()).is_projector
    assert facts(GgufFile(dict(LORA), list(PAIR), data_bytes=128).encode()).is_adapter


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
