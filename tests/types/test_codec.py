"""JSON exactly as Go writes it, and dataclasses across wires."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsite.types.chunk import Chunk, Logprob, Metrics, TokenLogprob
from llmsite.types.codec import from_builtins, go_json, to_builtins
from llmsite.types.message import Message, ToolCall
from llmsite.types.request import ChatRequest


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"b": 1, "a": [True, None, "x"]}, b'{"b":1,"a":[true,null,"x"]}'),
        ("<a> & </a>", b'"\\u003ca\\u003e \\u0026 \\u003c/a\\u003e"'),
        ("a\u2028b\u2029c", b'"a\\u2028b\\u2029c"'),
        ("é 中 😀", '"é 中 😀"'.encode()),
        ({"<k>": ("&",)}, b'{"\\u003ck\\u003e":["\\u0026"]}'),
        ('"\\\n', b'"\\"\\\\\\n"'),
    ],
)
def test_text_is_escaped_as_in_go(value: Any, written: bytes) -> None:
    assert go_json(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *[
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-3.0, "-3"),
            (0.7, "0.7"),
            (1.5, "1.5"),
            (10000.0, "10000"),
            (123456789.125, "123456789.125"),
        ],
        *[(1e-5, "0.00001"), (1.5e-5, "0.000015"), (1e-6, "0.000001"), (-2.5e-6, "-0.0000025"), (1.234567e-5, "0.00001234567")],
        *[(1e-7, "1e-7"), (1.5e-7, "1.5e-7"), (-1e-9, "-1e-9"), (5e-324, "5e-324"), (1.25e-100, "1.25e-100")],
        *[
            (1e16, "10000000000000000"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (-1e22, "-1e+22"),
        ],
        *[(2.0**63, "9223372036854776000"), (2.0**64, "18446744073709552000"), (1.2345e19, "12345000000000000000")],
    ],
)
def test_numbers_are_written_as_in_go(value: float, written: str) -> None:
    assert go_json({"n": value}) == f'{{"n":{written}}}'.encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_changes_its_value(value: float) -> None:
    assert float(json.loads(go_json(value))) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(JSON)
def test_any_value_is_valid_json_without_html(value: Any) -> None:
    written = go_json(value)
    assert json.loads(written) == value
    assert not any(each in written for each in (b"<", b">", b"&"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_say_is_null(value: float) -> None:
    assert go_json([value]) == b"[null]"


@pytest.mark.parametrize(
    "value",
    [
        Chunk(
            "text", "thought", (ToolCall("f", {"z": 1, "a": [2]}, 1, "id"),), done=True, done_reason="stop", metrics=Metrics(1, 2)
        ),
        Chunk(logprobs=(Logprob(TokenLogprob("a", -0.5, (97,)), (TokenLogprob("b", -1.0),)),), context=(1, 2, 3)),
        ChatRequest(
            "m", (Message("user", "x", images=(b"\x00\xff",)),), format={"type": "object"}, options={"top_k": 1}, keep_alive=1.5
        ),
    ],
)
def test_a_dataclass_survives_the_wire(value: Any) -> None:
    assert from_builtins(json.loads(json.dumps(to_builtins(value))), type(value)) == value


@dataclass(frozen=True, slots=True)
class Pair:
    left: int
    right: str = ""


@pytest.mark.parametrize(
    ("value", "problem"), [({}, "left"), ({"left": "1"}, r"\$\.left"), ({"left": 1, "right": 2}, r"\$\.right"), ([], "object")]
)
def test_a_wrong_field_is_named(value: Any, problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        from_builtins(value, Pair)


def test_unknown_fields_are_ignored() -> None:
    assert from_builtins({"left": 1, "more": 2}, Pair) == Pair(1)
