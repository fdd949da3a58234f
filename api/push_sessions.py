"""Blobs that are being pushed: one session each, from its POST to its last PUT (catalogue 11.3).

A session is a temporary file of the store that this process holds by its lock, so a session ends with its process and the sweep
removes what it left. It belongs to who opened it; nobody else sees it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from api.uploads import Upload
from llmsite.store.blobs import BlobStore
from llmsite.types.errors import Busy, InvalidRequest, RequestTooLarge
from llmsite.types.limits import Limits


@dataclass(eq=False)
class Session:
    """One upload. `lock` keeps its requests in order; `owner` is whoever opened it."""

    id: str
    owner: str
    upload: Upload
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    timer: asyncio.TimerHandle | None = None
    is_over: bool = False

    @property
    def num_bytes(self) -> int:
        return self.upload.num_bytes


class PushSessions:
    """The sessions of this process. Belongs to one event loop."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._num_opening = 0

    async def open(self, blobs: BlobStore, owner: str) -> Session:
        """Begin an upload. Raises `Busy` when there are too many, `StorageFull`."""
        if len(self._sessions) + self._num_opening >= blobs.limits.push_uploads:
            raise Busy("too many uploads at once; try again later")
        self._num_opening += 1
        try:
            upload = await Upload.begin(blobs)
        finally:
            self._num_opening -= 1
        session = Session(secrets.token_hex(16), owner, upload)
        self._sessions[session.id] = session
        self._wait(session, blobs.limits)
        return session

    def find(self, session_id: str, owner: str) -> Session | None:
        """The session of that id, if it is this owner's."""
        session = self._sessions.get(session_id)
        return session if session is not None and session.owner == owner else None

    async def append(self, session: Session, body: AsyncIterator[bytes], part: range | None, limits: Limits) -> None:
        """Add a body that claims to be `part` of the blob. A body that breaks off or has another length adds nothing.

        Raises `InvalidRequest`, `RequestTooLarge`, `Canceled`, `StorageFull`.
        """
        self._wait(session, limits)
        try:
            await session.upload.append_whole(_measured(body, part, limits.upload_bytes - session.num_bytes))
        finally:
            self._wait(session, limits)

    async def end(self, session: Session) -> None:
        """Forget the session and discard what was not committed. Safe to call twice."""
        self._sessions.pop(session.id, None)
        if session.timer is not None:
            session.timer.cancel()
        if not session.is_over:
            session.is_over = True
            await session.upload.close()

    async def close(self) -> None:
        """End all of them."""
        for session in list(self._sessions.values()):
            await self.end(session)

    def _wait(self, session: Session, limits: Limits) -> None:
        """Give the session its time anew."""
        if session.timer is not None:
            session.timer.cancel()
        if not session.is_over:
            session.timer = asyncio.get_running_loop().call_later(limits.push_idle_seconds, self._expire, session, limits)

    def _expire(self, session: Session, limits: Limits) -> None:
        if session.lock.locked():  # a slow part is still coming
            self._wait(session, limits)
            return
        task = asyncio.get_running_loop().create_task(self.end(session))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _measured(body: AsyncIterator[bytes], part: range | None, room_bytes: int) -> AsyncIterator[bytes]:
    """`body`, held to the length it claims and to what there is room for."""
    most = room_bytes if part is None else min(len(part), room_bytes)
    received = 0
    async for piece in body:
        received += len(piece)
        if received > room_bytes:
            raise RequestTooLarge("request body too large")
        if received > most:
            raise InvalidRequest("the body is longer than its Content-Range says")
        yield piece
    if part is not None and received < len(part):
        raise InvalidRequest("the body is shorter than its Content-Range says")
