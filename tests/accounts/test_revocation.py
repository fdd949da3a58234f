"""Rule 6 of the trust model: what runs by a right ends when the right does, whoever took it away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone

from api.streams import NdjsonResponse
from llmsite.accounts import revocation
from llmsite.accounts.authorize import LOOPBACK, Action, Principal, principal_of, principal_of_key
from llmsite.accounts.keys import issue_key
from llmsite.accounts.models import ApiKey, User
from llmsite.accounts.revocation import RightEnded, Use

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", is_superuser=True)


@sync_to_async
def holder_of_a_key(alice: User) -> Principal:
    issue_key(alice, scopes=("infer",))
    return principal_of_key(ApiKey.objects.select_related("user").get())


def take_nothing() -> None:
    return


def remove_key() -> None:
    ApiKey.objects.all().delete()


def expire_key() -> None:
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def take_scope() -> None:
    ApiKey.objects.update(scopes=["models:read"])


def disable() -> None:
    User.objects.update(state=User.State.DISABLED)


def demote() -> None:
    User.objects.update(is_superuser=False)


def delete_user() -> None:
    User.objects.all().delete()


@pytest.mark.parametrize(
    ("change", "is_ended"),
    [
        (take_nothing, False),
        (demote, False),
        *((each, True) for each in (remove_key, expire_key, take_scope, disable, delete_user)),
    ],
)
async def test_T52_what_a_key_does_ends_with(alice: User, change: Callable[[], None], is_ended: bool) -> None:
    with Use(await holder_of_a_key(alice), Action.INFER) as use:
        await sync_to_async(change)()
        await revocation.check()
        assert use.is_ended == is_ended


@pytest.mark.parametrize(
    ("change", "is_ended"),
    [(take_nothing, False), (remove_key, False), *((each, True) for each in (disable, demote, delete_user))],
)
async def test_T52_what_an_administrator_does_ends_with(alice: User, change: Callable[[], None], is_ended: bool) -> None:
    with Use(principal_of(alice), Action.MANAGE) as use:
        await sync_to_async(change)()
        await revocation.check()
        assert use.is_ended == is_ended


async def test_a_step_that_waits_is_cancelled_and_no_other_begins(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "CHECK_SECONDS", 0.02)
    told: list[bool] = []
    with Use(principal_of(alice), Action.CHAT, on_end=lambda: told.append(True)) as use:
        assert await use.hold(asyncio.sleep(0, "done")) == "done"
        await sync_to_async(disable)()
        for _ in range(2):
            with pytest.raises(RightEnded, match="the right to this has ended"):
                await use.hold(asyncio.Event().wait())
    assert told == [True]


async def test_a_timeout_of_the_step_itself_stays_one(alice: User) -> None:
    async def late() -> None:
        raise TimeoutError("too late")

    with Use(principal_of(alice), Action.CHAT) as use, pytest.raises(TimeoutError, match=r"^too late$"):
        await use.hold(late())


async def test_a_database_that_is_away_ends_nothing_and_is_asked_again(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "CHECK_SECONDS", 0.02)
    read, failures = revocation._read, [OperationalError("away")]

    async def fail_once(principals: set[Principal]) -> Any:
        if failures:
            raise failures.pop()
        return await read(principals)

    monkeypatch.setattr(revocation, "_read", fail_once)
    await sync_to_async(disable)()
    with Use(principal_of(alice), Action.CHAT) as use, pytest.raises(RightEnded):
        await use.hold(asyncio.Event().wait())
    assert not failures


async def test_a_caller_without_an_account_is_not_looked_at() -> None:
    with Use(LOOPBACK, Action.INFER):
        assert not revocation._uses
        assert revocation._checker is None


async def test_nobody_looks_when_nothing_runs(alice: User) -> None:
    with Use(principal_of(alice), Action.CHAT):
        checker = revocation._checker
        assert checker is not None
    with pytest.raises(asyncio.CancelledError):
        await checker


async def test_what_begins_as_another_ends_is_looked_at_too(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "CHECK_SECONDS", 0.02)
    with Use(principal_of(alice), Action.CHAT):
        await asyncio.sleep(0)
    await sync_to_async(disable)()
    with Use(principal_of(alice), Action.CHAT):
        pass
    with Use(principal_of(alice), Action.CHAT) as use, pytest.raises(RightEnded):
        await use.hold(asyncio.Event().wait())


async def test_T52_frames_that_are_ready_are_kept_from_who_lost_the_right(alice: User) -> None:
    is_closed = []

    async def ready() -> AsyncGenerator[bytes, None]:
        try:
            for number in range(1_000):
                yield b"%d\n" % number
        finally:
            is_closed.append(True)

    use = Use(principal_of(alice), Action.CHAT)
    response = NdjsonResponse(ready())
    response.hold_by(use)
    async with aclosing(response.frames) as frames:
        assert await anext(frames) == b"0\n"
        use.end()
        rest = [each async for each in frames]
    assert [json.loads(each)["error"] for each in rest] == [revocation.ENDED]
    assert is_closed == [True]
