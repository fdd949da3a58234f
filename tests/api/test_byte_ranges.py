"""Range and Content-Range, row by row."""

from __future__ import annotations

import pytest

from api.byte_ranges import Unsatisfiable, parse_content_range, parse_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=0-99", range(100)),
        ("bytes=10-", range(10, 100)),
        ("bytes=90-1000", range(90, 100)),
        ("bytes=-10", range(90, 100)),
        ("bytes=-1000", range(100)),
        (" Bytes=5-6 ", range(5, 7)),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=9-5", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=0-9x", None),
        ("bytes=\u0661-\u0662", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_which_bytes_are_asked_for(header: str, wanted: range | None) -> None:
    assert parse_range(header, 100) == wanted


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=0-", 0), ("bytes=-0", 100)])
def test_what_lies_behind_the_end_cannot_be_had(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, size)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("0-99", range(100)),
        ("bytes 5-9/100", range(5, 10)),
        ("bytes=5-9/*", range(5, 10)),
        ("5-4", None),
        ("-5", None),
        ("5-", None),
        ("bytes */100", None),
        ("0-9,5-6", None),
        ("x", None),
        ("0-" + "9" * 30, None),
    ],
)
def test_which_bytes_a_body_says_it_is(header: str, part: range | None) -> None:
    assert parse_content_range(header) == part
