"""T58: whatever text reaches the log, one event stays one line."""

from __future__ import annotations

import logging

import pytest

from llmsite.logs import OneLine


@pytest.mark.parametrize(
    "text",
    [
        "a\nERROR forged",
        "a\r\nb",
        "\x1b[2Jgone",
        "a\x00b",
        "a\u2028b",
        "\u202egnihton",
        "\x9b31m",
        "a\x85b",
        "\x07",
        "a\tb",
        "a\vb",
    ],
)
def test_T58_control_characters_are_escaped(text: str) -> None:
    record = logging.LogRecord("name", logging.WARNING, __file__, 1, "said %s", (text,), None)
    line = OneLine().format(record)
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_T58_a_trace_is_indented_so_that_it_forges_nothing() -> None:
    try:
        raise ValueError("a\n2026-01-01 00:00:00,000 ERROR   forged: b\x1b[0m")
    except ValueError as error:
        record = logging.LogRecord("name", logging.ERROR, __file__, 1, "failed", (), (ValueError, error, error.__traceback__))
    first, *rest = OneLine().format(record).splitlines()
    assert first.endswith("failed")
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_a_long_message_is_cut() -> None:
    record = logging.LogRecord("name", logging.INFO, __file__, 1, "x" * 100_000, (), None)
    assert len(OneLine().format(record)) < 9_000
