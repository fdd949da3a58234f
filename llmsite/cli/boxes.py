"""Sections of `show`: a title, rows of padded cells, an empty line; long values wrapped (catalogue 9.3). Pure functions.

Source of the wrapping: tablewriter, which Ollama's command line draws with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from llmsite.cli.tables import display_width

_GAP: Final = "    "
_MISSING: Final = "  "
"""Stands in cells that have no such line, the empty first one too: so further lines begin two columns to the right."""


def section(title: str, rows: Sequence[Sequence[str]], width: int = 30) -> str:
    """A titled table. `width` is that of a wrapped cell; a column that has one is at least so wide."""
    cells = [["", *row] for row in rows]
    wrapped = [[wrap(cell, width) for cell in row] for row in cells]
    columns = range(max(map(len, cells), default=0))
    widths = [_column_width([row[column] for row in cells if column < len(row)], width) for column in columns]
    lines = [_line(row, number, widths) for row in wrapped for number in range(max(map(len, row)))]
    return f"  {title}\n" + "".join(f"{line}\n" for line in lines) + "\n"


def _column_width(cells: Sequence[str], limit: int) -> int:
    """As wide as the longest line, and as the limit where a cell was wrapped."""
    return max(max(min(display_width(cell), limit), *map(display_width, wrap(cell, limit))) for cell in cells)


def _line(row: list[list[str]], number: int, widths: list[int]) -> str:
    cells = (cell[number] if number < len(cell) else _MISSING for cell in row)
    return "".join(cell + " " * max(width - display_width(cell), 0) + _GAP for cell, width in zip(cells, widths, strict=False))


def wrap(text: str, width: int) -> list[str]:
    """Lines of whole words with the least squared space at their ends; a text that fits stays one line."""
    if display_width(text) <= width:
        return [text]
    words = text.split(" ")
    lengths = [display_width(word) for word in words]
    width = max(width, *lengths)
    breaks = _breaks(lengths, width)
    lines, start = [], 0
    while start < len(words):
        lines.append(" ".join(words[start : breaks[start]]))
        start = breaks[start]
    return lines


def _breaks(lengths: list[int], width: int) -> list[int]:
    """For each word that a line may begin with, the word that the next one begins with."""
    count = len(lengths)
    costs, breaks = [0] * (count + 1), [count] * count
    for first in range(count - 1, -1, -1):
        best, length = None, -1
        for after in range(first + 1, count + 1):
            length += lengths[after - 1] + 1
            if length > width:
                break
            cost = 0 if after == count else (width - length) ** 2 + costs[after]
            if best is None or cost < best or after == count:
                best, breaks[first] = cost, after
        costs[first] = best or 0
    return breaks
