"""Options: names, defaults and refusals of catalogue 3 and 2.3, bounds of threat T25."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsite.types.errors import InvalidOption, InvalidRequest
from llmsite.types.limits import Limits
from llmsite.types.options import LOAD_OPTIONS, OPTION_NAMES, Options, option_type


def test_3_names_and_defaults() -> None:
    assert {name: getattr(Options(), name) for name in OPTION_NAMES} == {
        "num_ctx": None,
        "num_batch": None,
        "num_gpu": -1,
        "main_gpu": None,
        "use_mmap": None,
        "num_thread": 0,
        "draft_num_predict": None,
        "num_keep": 4,
        "seed": -1,
        "num_predict": -1,
        "top_k": 40,
        "top_p": 0.9,
        "min_p": 0.0,
        "typical_p": 1.0,
        "repeat_last_n": 64,
        "temperature": 0.8,
        "repeat_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "stop": (),
    }


def test_3_options_that_reload_a_model() -> None:
    assert set(LOAD_OPTIONS) == {"num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict"}


def test_2_20_later_layers_win_key_by_key_and_stops_replace() -> None:
    merged = Options.merge({"top_k": 1, "seed": 7, "stop": ["a", "b"]}, {"top_k": 2, "seed": None}, {"stop": ["c"]})
    assert (merged.top_k, merged.seed, merged.stop) == (2, 7, ("c",))
    assert Options.merge({"stop": ["a"]}, {"stop": []}).stop == ()


@pytest.mark.parametrize(
    ("given_value", "name", "value"),
    [
        (1.7, "seed", 1),
        (-1.7, "seed", -1),
        (1, "temperature", 1.0),
        (0, "top_p", 0.0),
        (8192.0, "num_ctx", 8192),
        (2**40, "seed", 2**40),
    ],
)
def test_3_numbers_are_cut_or_widened(given_value: float, name: str, value: float) -> None:
    merged = getattr(Options.merge({name: given_value}), name)
    assert (merged, type(merged)) == (value, type(value))


@pytest.mark.parametrize("layer", [{"nope": 1}, {"mirostat": "x"}, {"numa": True}, {"num_ctx": None}, {"": 1}, {}])
def test_2_3_unknown_options_and_nulls_are_ignored(layer: dict[str, Any]) -> None:
    assert Options.merge(layer) == Options()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("num_ctx", "big", 'option "num_ctx" must be of type integer'),
        ("num_ctx", True, 'option "num_ctx" must be of type integer'),
        ("temperature", "hot", 'option "temperature" must be of type float32'),
        ("temperature", "0.7", 'option "temperature" must be of type float32'),
        ("temperature", [1], 'option "temperature" must be of type float32'),
        ("use_mmap", "yes", 'option "use_mmap" must be of type boolean'),
        ("use_mmap", 1, 'option "use_mmap" must be of type boolean'),
        ("stop", 3, 'option "stop" must be of type array'),
        ("stop", "7", 'option "stop" must be of type array'),
        ("stop", {"a": 1}, 'option "stop" must be of type array'),
        ("stop", ["a", 1], 'option "stop" must be of an array of strings'),
        ("seed", {}, 'option "seed" must be of type integer'),
    ],
)
def test_2_3_an_option_of_the_wrong_type(name: str, value: Any, problem: str) -> None:
    with pytest.raises(InvalidOption, match=f"^{re.escape(problem)}$"):
        Options.merge({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("num_ctx", -1),
            ("num_ctx", 2**31),
            ("num_batch", 0),
            ("num_thread", -1),
            ("num_gpu", 2**40),
            ("seed", 2**63),
            ("seed", 10**5000),
        ],
        *[
            ("temperature", math.nan),
            ("temperature", math.inf),
            ("temperature", -math.inf),
            ("top_p", 1e10),
            ("num_predict", 1e999),
        ],
        *[("repeat_last_n", -2), ("num_predict", math.nan), ("main_gpu", -1), ("num_keep", -(2**31))],
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str | float) else "number",
)
def test_T25_values_that_no_machine_could_honour_name_option_and_range(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=f'^option "{name}" must be between '):
        Options.merge({name: value})


def test_T25_stop_strings_are_bounded_and_empty_ones_dropped() -> None:
    assert Options.merge({"stop": ["", "x", ""]}).stop == ("x",)
    with pytest.raises(InvalidRequest, match=r'^option "stop" takes at most 64 strings$'):
        Options.merge({"stop": ["x"] * 10_000})
    with pytest.raises(InvalidRequest, match=r'^a string of option "stop" has at most 256 characters$'):
        Options.merge({"stop": ["x" * 257]})
    assert Options.merge({"stop": ["xyz"]}, limits=Limits(stop_string_chars=3)).stop == ("xyz",)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.text(max_size=5) | st.integers(), max_size=3),
)


@given(st.dictionaries(st.sampled_from([*OPTION_NAMES, "unknown"]), VALUES, max_size=6))
def test_T25_any_value_is_taken_in_range_or_refused(layer: dict[str, Any]) -> None:
    try:
        merged = Options.merge(layer)
    except (InvalidOption, InvalidRequest):
        return
    kinds = {"integer": int, "float32": float, "boolean": bool, "array": tuple}
    for name in OPTION_NAMES:
        value = getattr(merged, name)
        assert value is None or type(value) is kinds[option_type(name)]
        assert not isinstance(value, float) or math.isfinite(value)
