"""Tables, sizes and times as Ollama's command line prints them (catalogue 9.2). Pure functions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from llmsite.cli.plain_text import plain_line

_GAP: Final = "    "
_UNITS: Final = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB"))
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIME: Final = re.compile(r"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?P<part>\.\d+)?(?P<zone>Z|[+-]\d\d:\d\d)")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left aligned columns, each cell padded to its column and four blanks more, the last one too.

    Without rows the header stands alone, four blanks between the names and one at the end. Cells are what a server says.
    """
    if not rows:
        return _GAP.join(header) + " \n"
    lines = [header, *([plain_line(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "".join("".join(f"{cell:<{width}}{_GAP}" for cell, width in zip(line, widths, strict=True)) + "\n" for line in lines)


def format_size(size_bytes: int) -> str:
    """Decimal units: whole from ten on, below one decimal unless it is zero."""
    for unit, name in _UNITS:
        if size_bytes >= unit:
            value = size_bytes / unit
            if value >= 10:
                return f"{int(value)} {name}"
            return f"{value:.0f} {name}" if value == int(value) else f"{value:.1f} {name}"
    return f"{size_bytes} B"


def format_count(number: int) -> str:
    """A count of parameters: `7B`, `1.2B`, `134.52M`, `487K`, `12`."""
    if number >= 10**9:
        return f"{number / 10**9:.0f}B" if number % 10**9 == 0 else f"{number / 10**9:.1f}B"
    if number >= 10**6:
        return f"{number / 10**6:.0f}M" if number % 10**6 == 0 else f"{number / 10**6:.2f}M"
    return f"{number / 1000:.0f}K" if number >= 1000 else str(number)


def display_width(text: str) -> int:
    """Columns that a text takes on a screen: wide characters take two, combining ones none."""
    return len(text) if text.isascii() else sum(map(character_width, text))


def character_width(character: str) -> int:
    """Columns of one character."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def format_processor(size_bytes: int, vram_bytes: int) -> str:
    """Where a loaded model is."""
    if size_bytes == 0 or vram_bytes > size_bytes:
        return "Unknown"
    if vram_bytes == 0:
        return "100% CPU"
    if vram_bytes == size_bytes:
        return "100% GPU"
    cpu = round((size_bytes - vram_bytes) / size_bytes * 100)
    return f"{cpu}%/{100 - cpu}% CPU/GPU"


def format_span(seconds: float) -> str:
    """A length of time in one unit."""
    if seconds < 1:
        return "Less than a second"
    if seconds < _MINUTE:
        return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
    if seconds < 2 * _MINUTE:
        return "About a minute"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} minutes"
    hours = int(seconds / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    days = hours // 24
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{days // 365} years"


def format_moment(moment: float, now: float, never: str = "Never") -> str:
    """A time relative to now, both in seconds since 1970; `never` for the zero time."""
    if moment <= 0:
        return never
    return f"{format_span(now - moment)} ago" if moment <= now else f"{format_span(moment - now)} from now"


def format_until(expires_at: float, now: float) -> str:
    """When a loaded model will go."""
    if expires_at < now:
        return "Stopping..."
    if expires_at - now > 20 * 365 * _DAY:
        return "Forever"
    return format_moment(expires_at, now)


def parse_timestamp(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time with any number of digits; 0 for one that cannot be read."""
    match = _TIME.fullmatch(text)
    if match is None:
        return 0.0
    try:
        moment = datetime.fromisoformat(match["second"] + ("+00:00" if match["zone"] == "Z" else match["zone"]))
    except ValueError:
        return 0.0
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() + float(match["part"] or 0)
