"""Waiting for a slot: phases pass through, and whoever leaves leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from llmsite.engine.supervisor import Lease
from llmsite.inference.leasing import Enter, Leasing
from llmsite.types.chunk import Phase
from llmsite.types.errors import Busy

LEASE = cast("Lease", object())


class Queue:
    """A supervisor's `lease` that waits for `granted`, and notes who came and went."""

    def __init__(self, error: Exception | None = None) -> None:
        self.granted = asyncio.Event()
        self.notes: list[str] = []
        self.error = error

    @property
    def enter(self) -> Enter:
        return cast("Enter", self._lease)

    @asynccontextmanager
    async def _lease(self, on_phase: Callable[[Phase], None]) -> AsyncGenerator[Any, None]:
        on_phase(Phase("queued", position=2))
        try:
            await self.granted.wait()
        except asyncio.CancelledError:
            self.notes.append("left the queue")
            raise
        on_phase(Phase("loading", fraction=0.5))
        if self.error:
            raise self.error
        self.notes.append("seated")
        try:
            yield LEASE
        finally:
            self.notes.append("freed")


async def test_phases_come_while_waiting() -> None:
    queue = Queue()
    names = []
    async with Leasing(queue.enter) as leasing:
        async for phase in leasing.phases():
            names.append(phase.name)
            queue.granted.set()
        assert leasing.lease is LEASE
        assert queue.notes == ["seated"]
    assert (names, queue.notes) == (["queued", "loading"], ["seated", "freed"])


async def wait_for_seat(queue: Queue, waiting: asyncio.Event) -> Lease:
    """Ask, tell when the first phase has come, and take the seat."""
    async with Leasing(queue.enter) as leasing:
        async for _ in leasing.phases():
            waiting.set()
        return leasing.lease


async def test_a_refusal_reaches_the_asker() -> None:
    queue = Queue(Busy("server busy"))
    queue.granted.set()
    with pytest.raises(Busy, match="server busy"):
        await wait_for_seat(queue, asyncio.Event())
    assert queue.notes == []


async def test_leaving_while_waiting_leaves_the_queue() -> None:
    queue = Queue()
    async with Leasing(queue.enter) as leasing:
        async for _ in leasing.phases():
            break
    assert queue.notes == ["left the queue"]


async def test_leaving_just_when_seated_frees_the_slot() -> None:
    queue = Queue()
    queue.granted.set()
    async with Leasing(queue.enter) as leasing:
        await asyncio.wait([leasing._task])
    assert queue.notes == ["seated", "freed"]


async def test_being_cancelled_while_waiting_leaves_the_queue() -> None:
    queue, waiting = Queue(), asyncio.Event()
    task = asyncio.ensure_future(wait_for_seat(queue, waiting))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert queue.notes == ["left the queue"]
