"""Durations as Go writes them: `1h30m` to seconds and back, and the `keep_alive` value of a request."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from llmsite.types.errors import InvalidRequest

FOREVER: Final = math.inf
"""Seconds of a keep-alive that never ends."""

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_SECONDS: Final = (2**63 - 1) / 1e9
_TERM: Final = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>[^\d.]*)")


def parse_duration(text: str) -> float:
    """Seconds in a Go duration (`5m`, `-1s`, `0`). Raises `InvalidRequest` with Go's text (source: time.ParseDuration)."""
    sign, rest = (-1.0, text[1:]) if text[:1] == "-" else (1.0, text[1:] if text[:1] == "+" else text)
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    while position < len(rest):
        term = _TERM.match(rest, position)
        if term is None:
            break
        if not term["unit"]:
            raise InvalidRequest(f"time: missing unit in duration {_quote(text)}")
        if term["unit"] not in _UNITS:
            raise InvalidRequest(f"time: unknown unit {_quote(term['unit'])} in duration {_quote(text)}")
        total += float(term["number"]) * _UNITS[term["unit"]]
        position = term.end()
    if not rest or position < len(rest) or total > _LONGEST_SECONDS:
        raise InvalidRequest(f"time: invalid duration {_quote(text)}")
    return sign * total


def parse_keep_alive(value: Any) -> float | None:
    """Seconds to keep a model loaded: None leaves it as it is, `FOREVER` for negative values (catalogue 2.8).

    `value` is the JSON value of the request. Raises `InvalidRequest`.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        raise InvalidRequest("Unsupported type: 'bool'")
    if isinstance(value, int | float):
        return FOREVER if value < 0 else float(min(value, _LONGEST_SECONDS))
    if isinstance(value, str):
        seconds = parse_duration(value)
        return FOREVER if seconds < 0 else seconds
    kind = "[]interface {}" if isinstance(value, list) else "map[string]interface {}"
    raise InvalidRequest(f"Unsupported type: '{kind}'")


def format_duration(seconds: float) -> str:
    """Go's form of a duration: `4.648158584s`, `350.2ms`, `12µs`, `2m3.4s`, `0s` (source: time.Duration.String)."""
    nanoseconds = round(abs(seconds) * 1e9)
    sign = "-" if seconds < 0 and nanoseconds else ""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if nanoseconds >= size:
                return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else f"{sign}{text}"


def _decimal(value: int, size: int) -> str:
    whole, part = divmod(value, size)
    digits = str(part).rjust(len(str(size)) - 1, "0").rstrip("0") if size > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
