"""Which renderer a config means that names a family only."""

from __future__ import annotations

import re
from typing import Final

_GEMMA4: Final = "gemma4"
_SMALL: Final = ("e2b", "e4b")
_LARGE: Final = ("12b", "26b", "31b")
_LARGE_FROM: Final = 12e9
_SIZE: Final = re.compile(r"([0-9.]+)([KMB])", re.IGNORECASE)
_UNITS: Final = {"K": 1e3, "M": 1e6, "B": 1e9}


def resolve_renderer(renderer: str, names: tuple[str, ...], parameter_size: str) -> str:
    """The name in the table. Gemma 4 is small or large by its `names`, else by its size, as in `8.0B` (catalogue 5.1)."""
    if renderer != _GEMMA4:
        return renderer
    for name in map(str.lower, names):
        if any(size in name for size in _SMALL):
            return "gemma4-small"
        if any(size in name for size in _LARGE):
            return "gemma4-large"
    return "gemma4-large" if _num_parameters(parameter_size) >= _LARGE_FROM else "gemma4-small"


def _num_parameters(size: str) -> float:
    found = _SIZE.fullmatch(size)
    if found is None:
        return 0
    try:
        return float(found[1]) * _UNITS[found[2].upper()]
    except ValueError:
        return 0
