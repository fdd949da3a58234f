"""Lines of progress on stderr that stay: what `create`, `pull` and `push` show while the server works (catalogue 9.5).

Lines that are settled, and all lines above them, are written once and left alone; only those below are drawn again. So a line
longer than the screen is cut while it lives and whole in the end, and something that is no terminal gets each line once.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Final, Self, TextIO

from llmsite.cli.bars import BarLine, StatusLine
from llmsite.cli.plain_text import plain_line
from llmsite.cli.progress import FRAME_SECONDS, HIDE_CURSOR, SHOW_CURSOR
from llmsite.types.chunk import Progress

_CLEAR_REST: Final = "\x1b[K"
_COLUMNS: Final = 80
"""Width where there is no terminal."""

BarLabel = Callable[[Progress], str]


class ProgressLines:
    """Shows lines between `async with`; after an error those reached so far stay, or an empty line if there are none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._lines: list[StatusLine | BarLine] = []
        self._bars: dict[str, BarLine] = {}
        self._num_settled = 0
        self._num_drawn = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._is_terminal:
            self._write(HIDE_CURSOR)
            self._task = asyncio.create_task(self._keep_drawing())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for line in self._lines:
            line.is_settled = True
        self._draw()
        if not self._lines:
            self._write("\n")
        if self._is_terminal:
            self._write(SHOW_CURSOR)

    def set_status(self, text: str) -> None:
        """The next step; the one before is done. The same step again is no new line."""
        text = plain_line(text)
        status = self._last_status()
        if status is not None:
            if status.text == text:
                return
            status.is_settled = True
        self._add(StatusLine(text))

    def replace_status(self, text: str) -> None:
        """Change the words of the present step."""
        status = self._last_status()
        assert status is not None, "there is a step to change"
        status.text = text

    def set_bar(self, key: str, label: str, progress: Progress) -> None:
        """The bar of one blob: begun, which ends the step before it, or grown."""
        now = time.monotonic()
        if bar := self._bars.get(key):
            bar.update(progress.completed, progress.total, now)
            return
        if status := self._last_status():
            status.is_settled = True
        self._bars[key] = bar = BarLine(plain_line(label), progress.total, progress.completed, now)
        self._add(bar)

    async def follow(self, frames: AsyncGenerator[Progress, None], label: BarLabel, *, skips_empty: bool = False) -> None:
        """Show the frames of a job to their end. `skips_empty`: no bar before the first byte. Raises what the frames raise."""
        async with aclosing(frames):
            async for frame in frames:
                if not frame.digest:
                    self.set_status(frame.status)
                elif frame.completed or not skips_empty:
                    self.set_bar(f"{frame.status} {frame.digest}", label(frame), frame)

    def _add(self, line: StatusLine | BarLine) -> None:
        self._lines.append(line)
        self._draw()

    def _last_status(self) -> StatusLine | None:
        return next((each for each in reversed(self._lines) if isinstance(each, StatusLine)), None)

    async def _keep_drawing(self) -> None:
        while True:
            await asyncio.sleep(FRAME_SECONDS)
            self._draw()

    def _draw(self) -> None:
        """Write what is settled for good, and on a terminal the lines below it, over those drawn before."""
        columns, rows = self._size()
        now = time.monotonic()
        settled, live = self._split()
        text = self._back_to_start() + "".join(f"{each.render(columns, now)}{self._end}\n" for each in settled)
        shown = live[-max(rows - 1, 1) :] if self._is_terminal else []
        text += "\n".join(each.render(columns, now)[: columns - 1] + self._end for each in shown)
        self._num_drawn = len(shown)
        if text:
            self._write(text)

    def _split(self) -> tuple[list[StatusLine | BarLine], list[StatusLine | BarLine]]:
        """Lines settled since the last time, and those from the first living one on."""
        waiting = self._lines[self._num_settled :]
        count = next((index for index, each in enumerate(waiting) if not each.is_settled), len(waiting))
        self._num_settled += count
        return waiting[:count], waiting[count:]

    def _back_to_start(self) -> str:
        if not self._num_drawn:
            return ""
        return (f"\x1b[{self._num_drawn - 1}A" if self._num_drawn > 1 else "") + "\r"

    @property
    def _end(self) -> str:
        return _CLEAR_REST if self._is_terminal else ""

    def _size(self) -> tuple[int, int]:
        if not self._is_terminal:
            return _COLUMNS, 1
        size = os.get_terminal_size(self._stream.fileno())
        return size.columns or _COLUMNS, size.lines

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
