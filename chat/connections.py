"""The open sockets of this process: who is watching which chat, and whether each may still be open.

Rights are read fresh when a tab subscribes; a session that ends while a socket is silent is found by a look at all sockets
together every few seconds (two queries for all of them), so that a disabled account is out within five.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import Counter
from typing import Final, Protocol

from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.utils import timezone

from llmsite.accounts.authorize import principal_of
from llmsite.accounts.models import User

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 3.0


class Connection(Protocol):
    """What the check needs to know of a socket."""

    user_id: int
    session_key: str
    auth_hash: str

    async def confirm(self) -> None:
        """Look closely whether this socket may stay, and close it if not."""
        ...


_open: set[Connection] = set()
_watched: Counter[str] = Counter()
_checker: asyncio.Task[None] | None = None


def add(connection: Connection) -> None:
    global _checker
    _open.add(connection)
    if _checker is None or _checker.done():
        _checker = asyncio.get_running_loop().create_task(_check_while_open(), context=contextvars.Context())


def remove(connection: Connection) -> None:
    global _checker
    _open.discard(connection)
    if not _open and _checker is not None:
        _checker.cancel()
        _checker = None  # a socket that comes before it has noticed needs another one


def count() -> int:
    return len(_open)


def watch(conversation_id: str) -> None:
    """A visible tab shows this chat; `unwatch` when it no longer does."""
    _watched[conversation_id] += 1


def unwatch(conversation_id: str) -> None:
    _watched[conversation_id] -= 1
    if _watched[conversation_id] <= 0:
        del _watched[conversation_id]


def is_watched(conversation_id: str) -> bool:
    """Whether somebody is looking at this chat: then its answer does not finish unseen."""
    return conversation_id in _watched


async def _check_while_open() -> None:
    while _open:
        await asyncio.sleep(CHECK_SECONDS)
        try:
            doubtful = await check()
        except DatabaseError:
            logger.exception("sockets could not be checked; trying again")
            continue
        for connection in doubtful:
            await connection.confirm()


async def check() -> list[Connection]:
    """Connections whose account, password or session is no longer what it was."""
    connections = list(_open)
    users, sessions = await _read({each.user_id for each in connections}, {each.session_key for each in connections})
    return [
        each
        for each in connections
        if each.session_key not in sessions or each.auth_hash != users.get(each.user_id, "")
    ]  # fmt: skip


@sync_to_async
def _read(user_ids: set[int], session_keys: set[str]) -> tuple[dict[int, str], set[str]]:
    """Session hash of every user who may still come in, and the sessions that live."""
    users = User.objects.in_bulk(list(user_ids))
    hashes = {key: user.get_session_auth_hash() for key, user in users.items() if principal_of(user).is_person}
    living = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    return hashes, set(living.values_list("session_key", flat=True))
