"""How often strangers and keys may ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from llmsite.accounts import rates
from llmsite.accounts.keys import KEY_PREFIX, issue_key
from llmsite.accounts.models import User
from llmsite.accounts.rates import RateLimiter
from llmsite.accounts.trust import NEAR, STRANGER
from tests.accounts.caller import Caller


@pytest.fixture(autouse=True)
def few(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three requests a minute for an address, five for a key; nobody has asked yet."""
    settings.LLMSITE_LIMITS = replace(settings.LLMSITE_LIMITS, requests_per_address_minute=3, requests_per_key_minute=5)
    monkeypatch.setattr(rates, "_limiter", RateLimiter())


def test_a_minutes_worth_comes_at_once_and_the_rest_is_spaced() -> None:
    limiter = RateLimiter()
    assert [limiter.take("a", 3, now=100) for _ in range(4)] == [0, 0, 0, pytest.approx(20)]
    assert limiter.take("b", 3, now=100) == 0, "others are not held up"
    assert limiter.take("a", 3, now=119) == pytest.approx(1), "what was refused does not count"
    assert limiter.take("a", 3, now=120) == 0
    assert limiter.take("a", 3, now=120) == pytest.approx(20)
    assert [limiter.take("a", 3, now=1000) for _ in range(4)] == [0, 0, 0, pytest.approx(20)]


def test_who_asked_long_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_MOST_REMEMBERED", 2)
    limiter = RateLimiter()
    for number in range(10):
        limiter.take(f"address {number}", 3, now=100 * number)
    assert len(limiter._booked_until) <= 2


async def test_a_stranger_who_asks_too_often_is_told_when_to_come_again() -> None:
    answers = [await Caller(STRANGER).get("/api/tags") for _ in range(4)]
    assert [each.status_code for each in answers] == [401, 401, 401, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 20
    assert answers[-1].json() == {"error": f"too many requests: please try again in {answers[-1].headers['Retry-After']} s"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/api/tags", "/v2/library/x/blobs/y"])
async def test_keys_cannot_be_guessed_quickly(path: str) -> None:
    headers = {"Authorization": f"Bearer {KEY_PREFIX}guess"}
    assert [(await Caller(STRANGER).get(path, headers=headers)).status_code for _ in range(4)] == [401, 401, 401, 429]


async def test_the_parts_of_a_model_are_not_counted() -> None:
    assert {(await Caller(STRANGER).get("/v2/library/x/blobs/y")).status_code for _ in range(8)} == {401}


async def test_callers_of_this_machine_are_not_counted() -> None:
    assert {(await Caller(NEAR).get("/api/version")).status_code for _ in range(8)} == {200}


@pytest.mark.django_db(transaction=True)
async def test_a_key_has_a_rate_of_its_own() -> None:
    user = await User.objects.acreate_user("alice")
    key, other = [await sync_to_async(issue_key)(user) for _ in range(2)]
    caller = Caller(STRANGER)
    statuses = [(await caller.get("/api/version", headers={"Authorization": f"Bearer {key}"})).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert (await caller.get("/api/version", headers={"Authorization": f"Bearer {other}"})).status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_people_on_our_pages_are_not_counted() -> None:
    user = await User.objects.acreate_user("carol")
    caller = Caller(STRANGER)
    await caller.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert {(await caller.get("/api/version")).status_code for _ in range(8)} == {200}
