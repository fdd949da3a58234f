"""What `/api/show` tells of a GGUF file: JSON as Go writes it (catalogue 2.15)."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pytest

from llmsite.store.gguf import read_header
from llmsite.store.gguf_listing import GgufListing, list_header
from llmsite.types.limits import Limits
from tests.store.gguf_files import BOOL, F32, F64, I32, TEXT, U8, U32, U64, GgufFile, array, model_metadata, scalar


def listing(changes: dict[str, bytes], **asked: Any) -> GgufListing:
    data = GgufFile(model_metadata() | changes).encode()
    return list_header(read_header(io.BytesIO(data), len(data), Limits()), **({"with_arrays": False} | asked))


def shown(value: bytes, **asked: Any) -> str:
    """The JSON of one value as it stands in the text."""
    (pair,) = [
        each for each in bytes(listing({"x.value": value}, **asked).metadata)[1:-1].split(b',"') if each.startswith(b'x.value":')
    ]
    return pair.removeprefix(b'x.value":').decode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (scalar(U32, 1024), "1024"),
        (scalar(U64, 2**64 - 1), "18446744073709551615"),
        (scalar(BOOL, True), "true"),
        (scalar(TEXT, "a<b>&\u2028é"), '"a\\u003cb\\u003e\\u0026\\u2028é"'),
        (scalar(F32, 1e-5), "0.00001"),
        (scalar(F32, 10000), "10000"),
        (scalar(F32, 0.1), "0.1"),
        (scalar(F32, 3.4e38), "3.4e+38"),
        (scalar(F32, -1 / 3), "-0.33333334"),
        (scalar(F64, 1 / 3), "0.3333333333333333"),
        (scalar(F64, 1e300), "1e+300"),
        (scalar(F32, float("inf")), "null"),
        (array(I32, [1, 2]), "null"),
        (array(TEXT, ["a"]), "null"),
        (array(TEXT, []), "[]"),
        (array(F32, [0.5] * 2000), "null"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_2_15_a_value(value: bytes, expected: str) -> None:
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("x.short", array(I32, [1, -2]), [1, -2]),
        ("x.texts", array(TEXT, ["a", "é"]), ["a", "é"]),
        ("x.broken", array(TEXT, [b"a\xff"]), ["a\ufffd"]),
        ("x.long", array(F32, [0.1, 2.0] * 1000), [0.1, 2] * 1000),
        ("x.flags", array(BOOL, [True, False] * 1000), [True, False] * 1000),
        ("tokenizer.ggml.precompiled_charsmap", array(U8, [4, 0, 0, 0, 1, 2, 3, 4]), "BAAAAAECAwQ="),
    ],
    ids=["short", "texts", "broken text", "long", "flags", "bytes"],
)
def test_2_15_arrays_are_whole_when_verbose(key: str, value: bytes, expected: Any) -> None:
    assert json.loads(bytes(listing({key: value}, with_arrays=True).metadata))[key] == expected


def test_2_15_keys_are_sorted_hidden_ones_left_out_and_parameters_counted() -> None:
    found = listing({"general.name": scalar(TEXT, "n"), "a.b": scalar(U32, 1)}, hidden=("general.name",))
    keys = list(json.loads(bytes(found.metadata)))
    assert keys == sorted(keys)
    assert "general.name" not in keys
    tensors = json.loads(bytes(found.tensors))
    assert [list(each) for each in tensors] == [["name", "type", "shape"]] * len(tensors)
    assert json.loads(bytes(found.metadata))["general.parameter_count"] == sum(math.prod(each["shape"]) for each in tensors)
