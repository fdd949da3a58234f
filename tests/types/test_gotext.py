"""Texts as Go quotes them; what is expected was printed by Go."""

import pytest

from llmsite.types.gotext import go_quote


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
