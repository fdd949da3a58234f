"""Waiting for a slot while passing on what happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from llmsite.engine.supervisor import Lease
from llmsite.types.chunk import Phase

Enter = Callable[[Callable[[Phase], None]], AbstractAsyncContextManager[Lease]]


class Leasing:
    """Enters a lease in a task of its own. Iterate `phases` to its end, then take `lease`.

    Leaving the context before that gives up the place in the queue; leaving it after frees the slot.
    """

    def __init__(self, enter: Enter) -> None:
        self._news: asyncio.Queue[Phase | None] = asyncio.Queue()
        self._manager = enter(self._news.put_nowait)

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._manager.__aenter__())
        self._task.add_done_callback(lambda _: self._news.put_nowait(None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._task.cancelled() or self._task.exception() is not None:
            return None  # never entered
        return await self._manager.__aexit__(kind, error, trace)

    async def phases(self) -> AsyncGenerator[Phase, None]:
        """What happens until the slot is there or refused."""
        while (phase := await self._news.get()) is not None:
            yield phase

    @property
    def lease(self) -> Lease:
        """The slot. Raises what refused it."""
        return self._task.result()
