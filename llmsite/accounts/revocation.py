"""Rights that end while they are used (rule 6 of the trust model): what runs by a removed key, a disabled account or a lost role
ends within five seconds.

Whoever does something long registers a `Use` of a right. All uses of a process are looked at together every few seconds, two
queries for all of them: the row that changed may have been changed by another process. Sockets have a look of their own
(`chat/connections.py`), since their sessions count too.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Self, TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone

from llmsite.accounts.authorize import ANONYMOUS, Action, Principal, may, principal_of, principal_of_key
from llmsite.accounts.models import ApiKey, User
from llmsite.types.errors import Unauthorized

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 2.0
ENDED: Final = "the right to this has ended: the key was removed, or the account may no longer do this"

T = TypeVar("T")

_uses: set[Use] = set()
_checker: asyncio.Task[None] | None = None


class RightEnded(Unauthorized):
    """Somebody took the right away while it was used."""


class Use:
    """A right in use on the event loop, between `with`. `on_end` is called once when the right has ended."""

    def __init__(self, principal: Principal, action: Action, on_end: Callable[[], object] | None = None) -> None:
        self.principal = principal
        self.action = action
        self.is_ended = False
        self._on_end = on_end
        self._step: asyncio.Timeout | None = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    @property
    def can_end(self) -> bool:
        """Callers without an account have nothing that could be taken away."""
        return self.principal.user is not None

    def begin(self) -> None:
        """Have it looked at, if it can end."""
        global _checker
        if not self.can_end:
            return
        _uses.add(self)
        if _checker is None or _checker.done():
            _checker = asyncio.get_running_loop().create_task(_check_while_used(), context=contextvars.Context())

    def leave(self) -> None:
        """It is done; again and again does no harm."""
        global _checker
        _uses.discard(self)
        if not _uses and _checker is not None:
            _checker.cancel()
            _checker = None  # what begins before it has noticed needs another one

    def end(self) -> None:
        """The right is gone: break off what waits, and tell."""
        if self.is_ended:
            return
        self.is_ended = True
        if self._step is not None:
            self._step.reschedule(asyncio.get_running_loop().time())
        if self._on_end is not None:
            self._on_end()

    def confirm(self) -> None:
        """Raises `RightEnded` once the right has gone: `hold` lets a step through that need not wait."""
        if self.is_ended:
            raise RightEnded(ENDED)

    async def hold(self, step: Awaitable[T]) -> T:
        """What `step` returns; it is cancelled when the right ends. One at a time. Raises `RightEnded`."""
        try:
            async with asyncio.timeout(0 if self.is_ended else None) as self._step:
                return await step
        except TimeoutError as error:
            if not self.is_ended:
                raise
            raise RightEnded(ENDED) from error
        finally:
            self._step = None


async def _check_while_used() -> None:
    while _uses:
        await asyncio.sleep(CHECK_SECONDS)
        try:
            await check()
        except DatabaseError:
            logger.exception("rights in use could not be checked; trying again")


async def check() -> None:
    """End the uses whose right is gone."""
    uses = list(_uses)
    fresh = await _read({use.principal for use in uses})
    for use in uses:
        if not may(fresh[use.principal], use.action):
            use.end()


@sync_to_async
def _read(principals: set[Principal]) -> dict[Principal, Principal]:
    """What each principal is now."""
    users = User.objects.in_bulk([each.user.pk for each in principals if each.user is not None and each.key_id is None])
    living = ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now())).select_related("user")
    keys = living.in_bulk([each.key_id for each in principals if each.key_id is not None])
    return {each: _now(each, users, keys) for each in principals}


def _now(principal: Principal, users: dict[int, User], keys: dict[int, ApiKey]) -> Principal:
    if principal.key_id is not None:
        key = keys.get(principal.key_id)
        return principal_of_key(key) if key is not None and key.user.can_sign_in else ANONYMOUS
    user = users.get(principal.user.pk) if principal.user is not None else None
    return principal_of(user) if user is not None else ANONYMOUS
