"""Which part of a file a Range header asks for (RFC 9110, 14.2); pure."""

from __future__ import annotations

import re
from typing import Final

_ONE_RANGE: Final = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)", re.ASCII | re.IGNORECASE)
_CONTENT_RANGE: Final = re.compile(r"(?:bytes[ =])?(?P<first>\d{1,19})-(?P<last>\d{1,19})(?:/(?:\d{1,19}|\*))?", re.ASCII)
_MOST_DIGITS: Final = 19


class Unsatisfiable(ValueError):
    """The range lies behind the end."""


def parse_range(header: str, size_bytes: int) -> range | None:
    """The bytes that are asked for; None for all of them: no header, several ranges, or one that is not understood.

    Raises `Unsatisfiable`.
    """
    match = _ONE_RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last = match["first"], match["last"]
    if len(first) > _MOST_DIGITS or len(last) > _MOST_DIGITS or not first + last:
        return None
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return None
    if start >= size_bytes:
        raise Unsatisfiable
    return range(start, stop)


def parse_content_range(header: str) -> range | None:
    """The bytes that a body says it is, as registries' clients write it (`0-99`) or as HTTP does (`bytes 0-99/1000`).

    None when it cannot be read.
    """
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None or int(match["last"]) < int(match["first"]):
        return None
    return range(int(match["first"]), int(match["last"]) + 1)
