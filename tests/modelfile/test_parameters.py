"""Texts of PARAMETER lines to values: catalogue 3, "from text"."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsite.modelfile.parameters import DEPRECATED, read_parameter, read_parameters
from llmsite.modelfile.parser import ModelfileError, parse
from llmsite.types.errors import InvalidRequest
from llmsite.types.options import OPTION_NAMES, Options, option_type


@pytest.mark.parametrize(
    ("name", "texts", "value"),
    [
        ("temperature", ["0.7"], 0.7), ("temperature", ["0"], 0), ("temperature", ["1.0"], 1), ("temperature", ["1e-1"], 0.1),
        ("top_p", [".5"], 0.5), ("top_p", ["0.123456789"], 0.12345679), ("top_p", ["0.1", "0.2"], 0.1), ("top_p", ["+1"], 1),
        ("num_ctx", ["4096"], 4096), ("num_gpu", ["-1"], -1), ("num_predict", ["5", "6"], 5), ("seed", ["+7"], 7),
        ("use_mmap", ["false"], False), ("use_mmap", ["T"], True), ("use_mmap", ["1"], True), ("use_mmap", ["0"], False),
        ("stop", ["User:", "Bot:"], ["User:", "Bot:"]), ("stop", ["a b"], ["a b"]),
    ],
)  # fmt: skip
def test_3_a_value_from_text(name, texts, value):
    read = read_parameter(name, texts)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "texts", "message"),
    [
        ("nonsense", ["1"], "unknown parameter 'nonsense'"),
        ("Temperature", ["1"], "unknown parameter 'Temperature'"),
        ("temperature", ["hot"], "invalid float value [hot]"),
        ("temperature", ["1e50"], "invalid float value [1e50]"),
        ("temperature", ["nan"], "invalid float value [nan]"),
        ("temperature", ["1_0"], "invalid float value [1_0]"),
        ("temperature", [""], "invalid float value []"),
        ("temperature", ["x", "0.5"], "invalid float value [x 0.5]"),
        ("num_ctx", ["many"], "invalid int value [many]"),
        ("num_ctx", ["1.5"], "invalid int value [1.5]"),
        ("num_ctx", ["9223372036854775808"], "invalid int value [9223372036854775808]"),
        ("num_ctx", ["\u0661"], "invalid int value [\u0661]"),
        ("use_mmap", ["maybe"], "invalid bool value [maybe]"),
        ("use_mmap", ["yes"], "invalid bool value [yes]"),
    ],
)
def test_3_a_value_that_is_none(name, texts, message):
    with pytest.raises(InvalidRequest) as caught:
        read_parameter(name, texts)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", OPTION_NAMES)
def test_every_option_can_be_written(name):
    text = {"integer": "1", "float32": "0.5", "boolean": "true", "array": "x"}[option_type(name)]
    assert Options.merge({name: read_parameter(name, [text])})


def test_3_lists_grow_and_of_others_the_last_counts():
    commands = parse("FROM m\nPARAMETER stop a\nPARAMETER top_k 1\nPARAMETER stop b\nPARAMETER top_k 2").commands
    assert read_parameters(commands) == {"stop": ["a", "b"], "top_k": 2}


@pytest.mark.parametrize("name", sorted(DEPRECATED))
def test_3_deprecated_parameters_are_left_out(name):
    assert read_parameters(parse(f"FROM m\nPARAMETER {name} whatever").commands) == {}


@pytest.mark.parametrize(("line", "hint"), [("temprature 1", "temperature"), ("numctx 1", "num_ctx"), ("zzz 1", "")])
def test_an_unknown_parameter_has_a_place_and_a_hint(line, hint):
    with pytest.raises(ModelfileError) as caught:
        read_parameters(parse(f"FROM m\n\n  PARAMETER {line}").commands)
    assert (caught.value.line, caught.value.hint) == (3, hint)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_of_32_bits_survive(number):
    read = read_parameter("temperature", [repr(number)])
    assert struct.pack("<f", json.loads(json.dumps(read))) == struct.pack("<f", number) or number == 0
