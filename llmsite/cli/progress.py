"""A spinner on the terminal while nothing can be shown yet. On anything else than a terminal it is silent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, TextIO

FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME_SECONDS: Final = 0.1
HIDE_CURSOR: Final = "\x1b[?25l"
SHOW_CURSOR: Final = "\x1b[?25h"
_CLEAR_LINE: Final = "\r\x1b[K"


class Spinner:
    """Turns on `stream` from `start` until `stop`; both may be called again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None and self._stream.isatty():
            self._task = asyncio.create_task(self._turn())

    async def stop(self) -> None:
        """Take the spinner off the screen."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _turn(self) -> None:
        try:
            self._write(HIDE_CURSOR)
            while True:
                for frame in FRAMES:
                    self._write(f"\r{frame} ")
                    await asyncio.sleep(FRAME_SECONDS)
        finally:
            self._write(_CLEAR_LINE + SHOW_CURSOR)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
