"""The table of rights: complete against the URL resolver, and row by row what threats-and-faults (a) says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from llmsite.accounts.authorize import (
    ANONYMOUS,
    LOOPBACK,
    METHODS,
    NAMESPACES,
    RIGHTS,
    ROUTES,
    SCOPES,
    Action,
    Principal,
    action_of,
    authorize,
    may,
    principal_of,
)
from llmsite.accounts.models import User
from llmsite.types.errors import Forbidden, Unauthorized

USER = Principal("user", user=User(pk=1, username="bob"))
ADMIN = Principal("admin", user=User(pk=2, username="alice", is_superuser=True))


def route_names(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for each in patterns:
        if isinstance(each, URLResolver):
            inner = f"{prefix}{each.namespace}:" if each.namespace else prefix
            yield from route_names(each.url_patterns, inner)
        else:
            yield f"{prefix}{each.name}" if each.name else f"{prefix}(unnamed {each.pattern})"


def test_every_route_is_in_the_table() -> None:
    names = set(route_names(get_resolver().url_patterns))
    assert "accounts:sign_in" in names
    assert [name for name in names if action_of(name) is None] == []


def test_every_row_of_the_table_is_a_route() -> None:
    names = set(route_names(get_resolver().url_patterns))
    assert set(ROUTES) - names == set()
    assert {name for name in names if name.partition(":")[0] in NAMESPACES}


def test_every_action_has_its_rights() -> None:
    assert set(RIGHTS) == set(Action)


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        (Action.HELLO, "anonymous loopback user admin"),
        (Action.ENTER, "anonymous loopback user admin"),
        (Action.READ_VERSION, "loopback user admin"),
        (Action.READ_MODELS, "loopback user admin"),
        (Action.INFER, "loopback user admin"),
        (Action.WRITE_MODELS, "loopback admin"),
        (Action.DELETE_MODELS, "loopback admin"),
        (Action.PUSH_MODELS, "admin"),
        (Action.FETCH_MODELS, "loopback user admin"),
        (Action.TAKE_PUSH, "admin"),
        (Action.CHAT, "user admin"),
        (Action.MANAGE, "admin"),
    ],
)
def test_who_may_do_what(action: Action, allowed: str) -> None:
    everybody = (ANONYMOUS, LOOPBACK, USER, ADMIN)
    assert [each.kind for each in everybody if may(each, action)] == allowed.split()


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (set(), {Action.HELLO, Action.ENTER, Action.READ_VERSION}),
        ({"infer"}, {Action.HELLO, Action.ENTER, Action.READ_VERSION, Action.INFER}),
        (
            {"models:read", "models:write"},
            {Action.HELLO, Action.ENTER, Action.READ_VERSION, Action.READ_MODELS, Action.WRITE_MODELS, Action.DELETE_MODELS}
            | {Action.FETCH_MODELS},
        ),
        ({"models:push"}, {Action.HELLO, Action.ENTER, Action.READ_VERSION, Action.PUSH_MODELS, Action.TAKE_PUSH}),
        ({"admin", "chats"}, {Action.HELLO, Action.ENTER, Action.READ_VERSION}),
    ],
)
def test_a_key_does_what_its_scopes_say(scopes: set[str], allowed: set[Action]) -> None:
    key = Principal("key", user=User(pk=1), scopes=frozenset(scopes), key_id=7)
    assert {action for action in Action if may(key, action)} == allowed


@pytest.mark.parametrize(
    ("is_public", "push", "fetch", "take"),
    [
        (False, "key", "loopback user admin key", "admin key"),
        (True, "key", "anonymous loopback user admin key", "admin key"),
        (False, "loopback", "loopback user admin key", "loopback admin key"),
        (False, "off", "loopback user admin key", ""),
    ],
)
def test_the_registry_s_switches_open_and_close_it(is_public: bool, push: str, fetch: str, take: str, settings: Any) -> None:
    settings.LLMSITE_REGISTRY_PUBLIC, settings.LLMSITE_REGISTRY_PUSH = is_public, push
    everybody = (ANONYMOUS, LOOPBACK, USER, ADMIN, Principal("key", user=User(pk=3), scopes=frozenset(SCOPES), key_id=7))
    assert [each.kind for each in everybody if may(each, Action.FETCH_MODELS)] == fetch.split()
    assert [each.kind for each in everybody if may(each, Action.TAKE_PUSH)] == take.split()
    if push == "off":
        for each in everybody:
            with pytest.raises(Forbidden, match="switched off"):
                authorize(each, Action.TAKE_PUSH)


def test_a_method_may_need_another_right_than_its_route() -> None:
    assert action_of("api:registry_manifest") == action_of("api:registry_manifest", "HEAD") == Action.FETCH_MODELS
    assert action_of("api:registry_manifest", "PUT") == Action.TAKE_PUSH
    assert {name for name, _ in METHODS} <= set(ROUTES)


def test_no_account_is_asked_to_sign_in_and_a_small_one_is_refused() -> None:
    with pytest.raises(Unauthorized):
        authorize(ANONYMOUS, Action.INFER)
    with pytest.raises(Unauthorized):
        authorize(LOOPBACK, Action.CHAT)
    with pytest.raises(Forbidden):
        authorize(USER, Action.MANAGE)


def test_rights_follow_the_row_of_the_user() -> None:
    assert principal_of(User(pk=1)).kind == "user"
    assert principal_of(User(pk=1, is_superuser=True)).kind == "admin"
    assert principal_of(User(pk=1, is_superuser=True, state=User.State.DISABLED)) == ANONYMOUS
    assert principal_of(User(pk=1, state=User.State.PENDING)) == ANONYMOUS
    assert principal_of(User(pk=1, is_active=False)) == ANONYMOUS


def test_only_people_with_an_account_have_a_place_of_their_own_in_the_queue() -> None:
    assert LOOPBACK.queue_key == ""
    assert USER.queue_key
    assert USER.queue_key != ADMIN.queue_key
