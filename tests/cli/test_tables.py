"""Tables, sizes and times of catalogue 9.2."""

import pytest

from llmsite.cli.tables import (
    format_moment,
    format_processor,
    format_size,
    format_span,
    format_until,
    parse_timestamp,
    table,
)

HOUR, DAY = 3600, 86400


def test_each_cell_is_padded_to_its_column_and_four_blanks_more():
    assert table(("NAME", "SIZE"), [("starter:latest", "9.6 MB"), ("x", "10 MB")]) == (
        "NAME              SIZE      \nstarter:latest    9.6 MB    \nx                 10 MB     \n"
    )


def test_T58_a_cell_moves_no_cursor():
    shown = table(("NAME", "ID"), [("one\x1b[2J\r\n:latest", "\u202e1")])
    assert shown == "NAME              ID    \none[2J :latest    1     \n"


def test_a_table_without_rows_is_its_header():
    assert table(("NAME", "ID", "SIZE", "MODIFIED"), []) == "NAME    ID    SIZE    MODIFIED \n"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1 KB"), (64_000, "64 KB"), (9_583_125, "9.6 MB"), (10_575_605, "10 MB"),
        (4_700_000_000, "4.7 GB"), (2_000_000_000, "2 GB"), (12_900_000_000, "12 GB"), (1_500_000_000_000, "1.5 TB"),
    ],
)  # fmt: skip
def test_a_size_is_decimal(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("size", "vram", "text"),
    [
        (100, 0, "100% CPU"), (100, 100, "100% GPU"), (100, 101, "Unknown"), (0, 0, "Unknown"), (100, 52, "48%/52% CPU/GPU"),
        (1000, 995, "0%/100% CPU/GPU"),
    ],
)  # fmt: skip
def test_a_loaded_model_says_where_it_is(size, vram, text):
    assert format_processor(size, vram) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"), (1, "1 second"), (59.9, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
        (120, "2 minutes"), (59 * 60, "59 minutes"), (HOUR, "About an hour"), (1.4 * HOUR, "About an hour"),
        (1.5 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"), (48 * HOUR, "2 days"), (13 * DAY, "13 days"), (14 * DAY, "2 weeks"), (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"), (729 * DAY, "24 months"), (730 * DAY, "2 years"),
    ],
)  # fmt: skip
def test_a_span_has_one_unit(seconds, text):
    assert format_span(seconds) == text


def test_moments_are_relative():
    assert format_moment(1000 - 2 * HOUR + 10_000, 11_000) == "2 hours ago"
    assert format_moment(11_000 + 240, 11_000) == "4 minutes from now"
    assert format_moment(0, 11_000) == "Never"
    assert format_until(10_000, 11_000) == "Stopping..."
    assert format_until(11_000 + 21 * 365 * DAY, 11_000) == "Forever"
    assert format_until(11_000 + 3 * HOUR, 11_000) == "3 hours from now"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01.123456789Z", 1.123456789),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("2262-04-11T23:47:16.854775807Z", 9223372036.854776),
        ("0001-01-01T00:00:00Z", -62135596800.0),
        ("nonsense", 0.0),
        ("2026-13-01T00:00:00Z", 0.0),
    ],
)
def test_a_timestamp_is_read(text, seconds):
    assert parse_timestamp(text) == pytest.approx(seconds)
