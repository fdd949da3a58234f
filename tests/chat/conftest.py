"""Alice with a chat, Bob on her side, Charlie who must see nothing; a scripted model; answers that end with their test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from django.contrib.auth import get_user_model

from chat import connections, generation, services
from chat.models import Message
from llmsite import backend
from llmsite.accounts.models import User
from llmsite.inference.client import Client
from tests.inference.fake_transport import FakeTransport


@pytest.fixture
def alice(transactional_db: None) -> User:
    return get_user_model().objects.create_user("alice", password="secret-of-alice")


@pytest.fixture
def charlie(transactional_db: None) -> User:
    return get_user_model().objects.create_user("charlie", password="secret-of-charlie")


@pytest.fixture
async def quiet_room(transactional_db: None) -> AsyncIterator[None]:
    """Every running answer ends with its test, and nothing is left for the next."""
    yield
    await generation.shutdown()
    generation.reopen()
    num_left = connections.count()
    connections._open.clear()
    assert num_left == 0, "a socket was left open"


@pytest.fixture
def model(quiet_room: None) -> Iterator[FakeTransport]:
    """The model behind every request: queue scripts, look at `requests`."""
    transport = FakeTransport()
    backend.set_client(Client(transport))
    yield transport
    backend.set_client(None)


Ask = Callable[..., Awaitable[services.SendResult]]


@pytest.fixture
def ask(alice: User, model: FakeTransport) -> Ask:
    """Send a message as Alice, below the last one."""

    async def send(text: str = "Why?", conversation_id: str = "", **changes: object) -> services.SendResult:
        parent = ""
        if conversation_id:
            conversation = await services.get_conversation(alice, conversation_id)
            parent = conversation.active_leaf_id or ""
        values: dict[str, object] = {
            "user": alice,
            "conversation_id": conversation_id or services.new_conversation_id(alice),
            "text": text,
            "model": "starter",
            "parent_id": parent,
            "send_token": f"token of {text} {parent}",
        }
        return await services.send(**(values | changes))  # type: ignore[arg-type]

    return send


async def until(condition: Callable[[], object]) -> None:
    """Wait for what other tasks do; the test's own timeout bounds it."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition belongs to tasks that know nothing of tests
            await asyncio.sleep(0.005)


async def finished(message_id: str) -> Message:
    """The row of an answer, once it has left the room."""
    await until(lambda: generation.find(message_id) is None)
    return await Message.objects.aget(pk=message_id)
