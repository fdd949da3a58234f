"""Durations as Go reads and writes them, and `keep_alive` (catalogue 2.8)."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsite.types.duration import FOREVER, format_duration, parse_duration, parse_keep_alive
from llmsite.types.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[
            ("5m", 300),
            ("1h30m", 5400),
            ("24h", 86400),
            ("300ms", 0.3),
            ("0", 0),
            ("0s", 0),
            ("-1s", -1),
            ("-1m", -60),
            ("+5s", 5),
        ],
        *[("1.5h", 5400), (".5s", 0.5), ("5.s", 5), ("1us", 1e-6), ("1µs", 1e-6), ("1μs", 1e-6), ("1ns", 1e-9), ("-0", 0)],
        *[("5m0s", 300), ("2h3m4.5s", 7384.5), ("1s1s", 2), ("2562047h", 9223369200)],
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("300", 'time: missing unit in duration "300"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("x", 'time: invalid duration "x"'),
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        (".", 'time: invalid duration "."'),
        ("s", 'time: invalid duration "s"'),
        (".s", 'time: invalid duration ".s"'),
        ("5m3", 'time: missing unit in duration "5m3"'),
        ("1S", 'time: unknown unit "S" in duration "1S"'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        ("--1s", 'time: invalid duration "--1s"'),
        ("1e3s", 'time: unknown unit "e" in duration "1e3s"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
        ("1" * 400 + "h", 'time: invalid duration "' + "1" * 400 + 'h"'),
        ('"', 'time: invalid duration "\\""'),
    ],
)
def test_2_3_bad_durations_get_go_s_text(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{re.escape(problem)}$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[
            (None, None),
            (300, 300.0),
            (42.5, 42.5),
            (0, 0.0),
            ("0", 0.0),
            ("0s", 0.0),
            ("5m", 300.0),
            ("1h30m", 5400.0),
            (1.5, 1.5),
        ],
        *[(-1, FOREVER), (-0.5, FOREVER), ("-1m", FOREVER), ("-1s", FOREVER), ("300ms", 0.3), ("5m0s", 300.0)],
    ],
)
def test_2_8_keep_alive(value: Any, seconds: float | None) -> None:
    assert parse_keep_alive(value) == seconds


def test_2_8_a_very_long_keep_alive_is_go_s_longest() -> None:
    for value in (1e300, 10**400, 2**63):
        seconds = parse_keep_alive(value)
        assert seconds is not None
        assert math.isfinite(seconds)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (True, "Unsupported type: 'bool'"),
        (False, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
        ("300", 'time: missing unit in duration "300"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
    ],
)
def test_2_3_keep_alive_of_the_wrong_kind(value: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{re.escape(problem)}$"):
        parse_keep_alive(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[
            (4.648158584, "4.648158584s"),
            (0.3502, "350.2ms"),
            (12e-6, "12µs"),
            (123.4, "2m3.4s"),
            (0, "0s"),
            (1e-9, "1ns"),
            (1e-12, "0s"),
        ],
        *[
            (300, "5m0s"),
            (3600, "1h0m0s"),
            (5400.5, "1h30m0.5s"),
            (-1.5, "-1.5s"),
            (0.999999999, "999.999999ms"),
            (59.9999999999, "1m0s"),
        ],
        *[(1, "1s"), (60, "1m0s"), (1.5e-6, "1.5µs"), (90000, "25h0m0s")],
    ],
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**15))
def test_what_is_written_is_read_again(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds / 1e9)) == pytest.approx(nanoseconds / 1e9, abs=1e-9)
