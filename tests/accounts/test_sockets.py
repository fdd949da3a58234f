"""Who gets a websocket: people with a living session, and not too many each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import AsyncClient

from llmsite.accounts.models import User
from llmsite.accounts.sockets import SESSION_ENDED, TRY_LATER, SocketIdentity

pytestmark = pytest.mark.django_db(transaction=True)


class Opened:
    """One handshake; `codes` are what the socket was closed with, `scope` what the consumer got."""

    def __init__(self, identity: SocketIdentity, cookie: str) -> None:
        self.sent: list[Any] = []
        scope = {"type": "websocket", "path": "/ws/ui/", "headers": [(b"cookie", cookie.encode())]}
        self.task = asyncio.ensure_future(identity(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        return {"type": "websocket.connect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def code(self) -> int:
        return next((message["code"] for message in self.sent if message["type"] == "websocket.close"), 0)


class Consumer:
    """Stays until it is told to leave."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.arrived: asyncio.Queue[None] = asyncio.Queue()
        self.leave = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.arrived.put_nowait(None)
        await self.leave.wait()


async def cookie_of(user: User) -> str:
    client = AsyncClient()
    await client.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return f"llmsite_session={client.cookies['llmsite_session'].value}"


@pytest.mark.parametrize("cookie", ["", "llmsite_session=guess", "other=1"])
async def test_without_a_session_it_closes_with_4401(cookie: str) -> None:
    consumer = Consumer()
    opened = Opened(SocketIdentity(consumer), cookie)
    await opened.task
    assert [message["type"] for message in opened.sent] == ["websocket.accept", "websocket.close"]
    assert opened.code == SESSION_ENDED
    assert consumer.scopes == []


async def test_a_disabled_account_gets_none() -> None:
    user = await User.objects.acreate_user("bob")
    cookie = await cookie_of(user)
    await User.objects.filter(pk=user.pk).aupdate(state=User.State.DISABLED)
    opened = Opened(SocketIdentity(Consumer()), cookie)
    await opened.task
    assert opened.code == SESSION_ENDED


async def test_T83_a_person_has_so_many_sockets_and_no_more(settings: Any) -> None:
    consumer = Consumer()
    identity = SocketIdentity(consumer)
    user = await User.objects.acreate_user("bob")
    cookie, most = await cookie_of(user), settings.LLMSITE_LIMITS.sockets_per_user
    opened = [Opened(identity, cookie) for _ in range(most)]
    for _ in opened:
        await consumer.arrived.get()
    assert consumer.scopes[0]["user"] == user
    assert consumer.scopes[0]["principal"].kind == "user"
    surplus = Opened(identity, cookie)
    await surplus.task
    assert surplus.code == TRY_LATER
    consumer.leave.set()
    await asyncio.gather(*(each.task for each in opened))
    again = Opened(identity, cookie)
    await again.task
    assert again.code == 0
