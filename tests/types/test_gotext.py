"""Texts as Go's fmt prints them; what is expected was printed by Go."""

from typing import Any

import pytest

from llmsite.types.gotext import go_literal, go_quote, go_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '""'),
        ("a\u202eb", '"a\\u202eb"'),
        ('é"\\\n\t\x01\x7f', '"é\\"\\\\\\n\\t\\x01\\x7f"'),
        ("日本 \u00a0 x", '"日本 \\u00a0 x"'),
        ("\U0001f600 \U000e0001", '"\U0001f600 \\U000e0001"'),
        ("\a\b\f\r\v", '"\\a\\b\\f\\r\\v"'),
    ],
)
def test_a_quoted_text(text: str, expected: str) -> None:
    assert go_quote(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.0, "0"),
        (-1, "-1"),
        (0.5, "0.5"),
        (0.7, "0.7"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (-2.5e-7, "-2.5e-07"),
        (1234567.5, "1.2345675e+06"),
        (1e21, "1e+21"),
        (1e300, "1e+300"),
        (1_048_576, "1048576"),
        (True, "true"),
        (None, "<nil>"),
        ("a", "a"),
        ([1, "b"], "[1 b]"),
        ({"b": 1, "a": 2}, "map[a:2 b:1]"),
    ],
)
def test_a_value(value: Any, expected: str) -> None:
    assert go_value(value) == expected


def test_a_literal_is_quoted_only_where_it_is_text() -> None:
    assert [go_literal(each) for each in ("<|end|>", 0.5, True)] == ['"<|end|>"', "0.5", "true"]
