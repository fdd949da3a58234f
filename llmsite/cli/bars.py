"""What a line of progress says: a status with a spinner, or a bar (catalogue 9.5). Pure; `progress_lines.py` shows them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from llmsite.cli.progress import FRAMES
from llmsite.cli.tables import format_size

_SIZE_WIDTH: Final = 6
_SUFFIX_WIDTH: Final = 31
"""`9.6 MB/ 12 MB`, two blanks and `999 MB/s`, two blanks and `59m59s`."""
_EDGES_WIDTH: Final = 5
_RATE_SAMPLES: Final = 10
_HOUR_SECONDS: Final = 3600
_SPINNER_WIDTH: Final = 4
_KEPT_END: Final = 8


@dataclass(slots=True)
class StatusLine:
    """A step of the server. It stays without its spinner when the next one begins."""

    text: str
    is_settled: bool = False

    def render(self, columns: int, now: float) -> str:
        if self.is_settled:
            return self.text
        return f"{_shortened(self.text, columns - _SPINNER_WIDTH)} {FRAMES[int(now * 10) % len(FRAMES)]}"


def _shortened(text: str, columns: int) -> str:
    """Without its middle, so that the percents at its end are seen."""
    return text if len(text) <= columns else f"{text[: max(columns - _KEPT_END - 1, 0)]}…{text[-_KEPT_END:]}"


@dataclass(slots=True)
class BarLine:
    """The bytes of one blob. `samples` are times in seconds and byte counts, at most one a second."""

    label: str
    total: int
    completed: int
    started: float
    is_settled: bool = False
    samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_RATE_SAMPLES))

    def __post_init__(self) -> None:
        self.samples.append((self.started, self.completed))
        self.is_settled = self.completed >= self.total

    def update(self, completed: int, total: int, now: float) -> None:
        self.completed, self.total = completed, total or self.total
        if now - self.samples[-1][0] >= 1:
            self.samples.append((now, completed))
        if self.completed >= self.total:
            self.is_settled = True

    def render(self, columns: int, now: float) -> str:
        """`pulling 3a0c1eaf4982:  45% ▕████      ▏ 2.1 GB/4.7 GB   12 MB/s  3m20s`, as wide as the screen while it grows."""
        share = self.completed / self.total if self.total else 0.0
        head = f"{self.label} {share * 100:3.0f}%"
        width = columns - len(head) - _SUFFIX_WIDTH - _EDGES_WIDTH
        filled = max(int(width * share), 0)
        return f"{head} ▕{'█' * filled}{' ' * (width - filled)}▏ {self._suffix()}".rstrip()

    def _suffix(self) -> str:
        total = f"{format_size(self.total):>{_SIZE_WIDTH}}"
        if self.completed >= self.total:
            return total
        counts = f"{format_size(self.completed):>{_SIZE_WIDTH}}/{total}"
        rate = 0.0 if self.is_settled else self._bytes_per_second()
        if not rate:
            return counts
        remaining = format_remaining((self.total - self.completed) / rate)
        return f"{counts}  {format_size(int(rate)):>{_SIZE_WIDTH}}/s  {remaining:>{_SIZE_WIDTH}}"

    def _bytes_per_second(self) -> float:
        (first, before), (last, after) = self.samples[0], self.samples[-1]
        return (after - before) / (last - first) if last > first else 0.0


def format_remaining(seconds: float) -> str:
    """Time to go, at most six characters: `8s`, `3m20s`, `2h5m`, `99h+`."""
    hours = seconds / _HOUR_SECONDS
    if hours >= 100:
        return "99h+"
    if hours >= 1:
        return f"{int(hours)}h{int(seconds // 60) % 60}m"
    minutes, rest = divmod(math.floor(seconds + 0.5), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
