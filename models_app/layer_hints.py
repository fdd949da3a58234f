"""Hints over the channel layer that a job's row changed, where the database itself cannot tell (every one but SQLite).

A hint may be lost, so whoever waits for them looks now and then all the same.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import connection

GROUP: Final = "jobs"
_ANYWAY_SECONDS: Final = 1.0


def hint() -> None:
    """Say that a row changed. Blocks for the layer; nothing happens on SQLite, which is asked instead."""
    layer = get_channel_layer()
    if connection.vendor != "sqlite" and layer is not None:
        async_to_sync(layer.group_send)(GROUP, {"type": "jobs.changed"})


class LayerHints:
    """For one thread, which asks again and again whether a look is worth it. The layer lives on a loop of that thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._layer: Any = get_channel_layer()
        self._channel = ""
        self._waiting: asyncio.Task[Any] | None = None
        self._last_look = 0.0
        self._loop.run_until_complete(self._join())

    def has_changed(self) -> bool:
        """Whether a hint came, or the last look is long ago."""
        self._loop.run_until_complete(asyncio.sleep(0))
        is_time = time.monotonic() - self._last_look > _ANYWAY_SECONDS
        if self._waiting is not None and self._waiting.done():
            self._waiting = None
            is_time = True
        if self._waiting is None:
            self._waiting = self._loop.create_task(self._layer.receive(self._channel))
        if is_time:
            self._last_look = time.monotonic()
        return is_time

    def close(self) -> None:
        self._loop.run_until_complete(self._leave())
        self._loop.close()

    async def _join(self) -> None:
        self._channel = await self._layer.new_channel()
        await self._layer.group_add(GROUP, self._channel)

    async def _leave(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.wait([self._waiting])
        await self._layer.group_discard(GROUP, self._channel)
