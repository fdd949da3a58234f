"""The frames of a job: status lines are kept for ever, byte counts of one blob replace each other. Pure."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto

from llmsite.types.chunk import Progress

_Key = tuple[str, str]


class News(Enum):
    """What a frame told that was not known."""

    NOTHING = auto()
    COUNT = auto()
    LINE = auto()


class FrameLog:
    """Frames in the order in which they first came. Threads may add at once.

    A job that starts again tells its first lines again: these stand here already, once for each time they were told.
    `has_progressed` says whether anything came that no earlier start had reached.
    """

    def __init__(self, frames: Iterable[Progress] = ()) -> None:
        self._frames = list(frames)
        self._told = Counter(_key(each) for each in self._frames)
        self._best = {_key(each): each.completed for each in self._frames}
        self._lock = threading.Lock()
        self.has_progressed = False

    def add(self, progress: Progress) -> News:
        with self._lock:
            news = self._add(progress)
            if news is News.LINE or progress.completed > self._best.get(_key(progress), 0):
                self._best[_key(progress)] = progress.completed
                self.has_progressed = True
            return news

    def _add(self, progress: Progress) -> News:
        place = self._place(progress)
        if place is None:
            self._frames.append(progress)
            return News.LINE
        if self._frames[place] == progress:
            return News.NOTHING
        self._frames[place] = progress
        return News.COUNT

    def _place(self, progress: Progress) -> int | None:
        """Where this frame stands already; a line without a digest only as often as an earlier start told it."""
        key = _key(progress)
        if not progress.digest:
            if self._told[key] <= 0:
                return None
            self._told[key] -= 1
        return next((index for index, each in enumerate(self._frames) if _key(each) == key), None)

    def snapshot(self) -> tuple[Progress, ...]:
        with self._lock:
            return tuple(self._frames)


def news_since(told: Sequence[Progress], frames: Sequence[Progress]) -> Iterator[Progress]:
    """Frames that somebody who was told `told` has not heard yet."""
    for index, each in enumerate(frames):
        if index >= len(told) or told[index] != each:
            yield each


def _key(progress: Progress) -> _Key:
    return progress.status, progress.digest
