"""API keys: shown once, kept as a hash, bound to their owner and scopes, and never a way around a refusal."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from llmsite.accounts import keys
from llmsite.accounts.authorize import SCOPES, Principal
from llmsite.accounts.keys import DEFAULT_SCOPES, KEY_PREFIX, find_key, issue_key, list_keys, remove_key
from llmsite.accounts.models import ApiKey, User
from llmsite.accounts.trust import NEAR, STRANGER, Trust
from llmsite.types.errors import InvalidRequest, NotFound
from tests.accounts.caller import Caller

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


# making, finding, ending


def test_T55_a_key_is_random_and_only_its_hash_is_stored(alice: User) -> None:
    key, other = issue_key(alice), issue_key(alice)
    assert key.startswith(KEY_PREFIX)
    assert len(key) == len(other) == len(KEY_PREFIX) + 43, "256 bits"
    row = ApiKey.objects.get(prefix=key[:16])
    assert key.removeprefix(row.prefix) not in json.dumps([str(getattr(row, field.name)) for field in ApiKey._meta.fields])
    assert find_key(key) == row
    assert str(row) == f"{key[:16]}… of alice"


def test_T55_hashes_are_compared_in_constant_time(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    key = issue_key(alice)
    compared: list[tuple[str, str]] = []
    compare = keys.secrets.compare_digest
    monkeypatch.setattr(keys.secrets, "compare_digest", lambda one, two: (compared.append((one, two)), compare(one, two))[1])
    assert find_key(key[:-1] + ("A" if key[-1] != "A" else "B")) is None
    assert find_key(key) is not None
    assert len(compared) == 2


@pytest.mark.parametrize("change", [lambda key: key[:-1], lambda key: key + "x", lambda key: KEY_PREFIX, lambda key: key.upper()])
def test_another_text_is_no_key(alice: User, change: Any) -> None:
    assert find_key(change(issue_key(alice))) is None


def test_an_expired_key_is_no_key(alice: User) -> None:
    key = issue_key(alice, expires_at=timezone.now() + timedelta(days=1))
    assert find_key(key) is not None
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert find_key(key) is None
    with pytest.raises(InvalidRequest, match="expire in the future"):
        issue_key(alice, expires_at=timezone.now())


@pytest.mark.parametrize("change", [{"state": User.State.DISABLED}, {"state": User.State.PENDING}, {"is_active": False}])
def test_a_key_is_worth_what_its_owner_is(alice: User, change: dict[str, Any]) -> None:
    key = issue_key(alice)
    User.objects.update(**change)
    assert find_key(key) is None


def test_a_key_needs_scopes_that_there_are(alice: User) -> None:
    with pytest.raises(InvalidRequest, match='unknown scope "admin": the scopes are models:read'):
        issue_key(alice, scopes=("infer", "admin"))
    with pytest.raises(InvalidRequest, match="a key needs a scope"):
        issue_key(alice, scopes=())
    issue_key(alice, scopes=SCOPES)
    assert ApiKey.objects.get().scopes == list(SCOPES)


def test_a_person_has_so_many_keys_and_no_more(alice: User, settings: Any) -> None:
    assert settings.LLMSITE_LIMITS.keys_per_user == 50
    for _ in range(50):
        issue_key(alice)
    with pytest.raises(InvalidRequest, match="alice has 50 keys already; remove one first"):
        issue_key(alice)
    issue_key(User.objects.create_user("bob"))


def test_last_use_is_noted_once_a_minute(alice: User) -> None:
    key = issue_key(alice)
    assert ApiKey.objects.get().last_used_at is None
    find_key(key)
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    find_key(key)
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
    find_key(key)
    assert ApiKey.objects.get().last_used_at > first


def test_a_key_is_ended_by_its_beginning(alice: User) -> None:
    key, other = issue_key(alice), issue_key(alice)
    with pytest.raises(NotFound, match="no key begins with"):
        remove_key("llmsite_nothing")
    with pytest.raises(InvalidRequest, match="several keys begin with"):
        remove_key("")
    remove_key(key[:14])
    remove_key(other.removeprefix(KEY_PREFIX))
    assert not ApiKey.objects.exists()
    assert find_key(key) is None


# what requests may do with one


CARRIERS = {"bearer": ("Authorization", "Bearer {}"), "lower": ("Authorization", "bearer {}"), "x-api-key": ("X-Api-Key", "{}")}


def carried(key: str, carrier: str = "bearer") -> dict[str, str]:
    name, form = CARRIERS[carrier]
    return {name: form.format(key)}


async def issue(**options: Any) -> str:
    user, _ = await User.objects.aget_or_create(username="alice")
    return await sync_to_async(issue_key)(user, **options)


@pytest.mark.parametrize("auth", ["auto", "required", "off"])
@pytest.mark.parametrize("trust", [NEAR, STRANGER], ids=["near", "far"])
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_T53_a_key_counts_the_same_however_it_is_sent(carrier: str, trust: Trust, auth: str, settings: Any) -> None:
    settings.LLMSITE_API_AUTH = auth
    key = await issue(scopes=("infer",))
    client = Caller(trust)
    assert (await client.get("/api/version", headers=carried(key, carrier))).status_code == 200
    refused = await client.get("/api/tags", headers=carried(key, carrier))
    assert (refused.status_code, refused.json()) == (
        403,
        {"error": 'this key may not do this: it needs the scope "models:read"'},
    ), "not even where its sender could do more without it"


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("trust", [NEAR, STRANGER], ids=["near", "far"])
async def test_rule_1_a_key_that_is_not_good_never_falls_back_to_anything(trust: Trust, carrier: str, settings: Any) -> None:
    settings.LLMSITE_API_AUTH = "off"
    key = await issue()
    await ApiKey.objects.all().adelete()
    for token in (key, KEY_PREFIX, KEY_PREFIX + "x" * 43, KEY_PREFIX + "\xe9" * 43):
        response = await Caller(trust).get("/api/version", headers=carried(token, carrier))
        assert (response.status_code, response.json()) == (401, {"error": "invalid api key"})


@pytest.mark.parametrize("token", ["ollama", "sk-123", "none", "EMPTY", "Llmsite_x"])
async def test_rule_1_placeholders_of_clients_are_nothing_to_callers_of_this_machine(token: str) -> None:
    for carrier in CARRIERS:
        assert (await Caller(NEAR).get("/api/version", headers=carried(token, carrier))).status_code == 200
        assert (await Caller(STRANGER).get("/api/version", headers=carried(token, carrier))).status_code == 401


async def test_a_key_is_for_the_api_and_opens_no_page() -> None:
    key = await issue(scopes=SCOPES)
    for path in ("/", "/c/nothing", "/admin/rows/"):
        response = await Caller(STRANGER).get(path, headers=carried(key) | {"Accept": "text/html"})
        assert response.status_code == 302, path


async def test_a_key_s_requests_wait_in_its_owner_s_queue() -> None:
    user = await User.objects.acreate_user("alice")
    assert Principal("key", user=user, key_id=1).queue_key == Principal("user", user=user).queue_key


async def test_T52_a_key_that_was_ended_fails_at_the_next_request() -> None:
    key = await issue()
    client = Caller(STRANGER)
    assert (await client.get("/api/version", headers=carried(key))).status_code == 200
    await User.objects.aupdate(state=User.State.DISABLED)
    assert (await client.get("/api/version", headers=carried(key))).status_code == 401


# the command


def run(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("key", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_makes_lists_and_ends_keys(alice: User) -> None:
    out, err = run("add", "alice", "--name", "laptop", "--scope", "infer", "--scope", "models:push", "--days", "30")
    key = out.strip()
    assert err == "keep it: it is not shown again\n"
    found = find_key(key)
    assert found is not None
    assert (found.name, found.scopes, found.user) == ("laptop", ["infer", "models:push"], alice)
    assert found.expires_at is not None
    assert timedelta(days=29) < found.expires_at - timezone.now() < timedelta(days=30)
    listed, _ = run("list")
    head, row = listed.splitlines()
    assert head.split() == ["KEY", "USER", "NAME", "SCOPES", "LAST", "USED", "EXPIRES"]
    assert row.split()[:4] == [f"{key[:16]}…", "alice", "laptop", "infer,models:push"]
    assert len(run("list", "bob")[0].splitlines()) == 1
    assert run("remove", key[:16])[0] == f"{key[:16]}… of alice is worth nothing from now on\n"
    assert not list_keys().exists()


def test_the_command_gives_the_smallest_rights_by_default(alice: User) -> None:
    run("add", "alice")
    assert ApiKey.objects.get().scopes == list(DEFAULT_SCOPES) == ["models:read", "infer"]
    assert ApiKey.objects.get().expires_at is None


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("add", "nobody"), 'there is no account "nobody"; make it first: llmsite user add nobody'),
        (("add", "alice", "--days", "0"), "a key has to expire in the future"),
        (("add", "alice", "--scope", "admin"), "invalid choice: 'admin'"),
        (("remove", "llmsite_x"), 'no key begins with "llmsite_x"'),
        ((), "required: verb"),
    ],
)
def test_the_command_says_what_is_wrong(alice: User, words: tuple[str, ...], problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        run(*words)


def test_administrators_see_and_end_keys_and_nothing_of_their_hash(alice: User, client: Client) -> None:
    key = issue_key(alice, name="laptop")
    row = ApiKey.objects.get()
    client.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    for path in ("", f"{row.pk}/change/"):
        page = client.get(f"/admin/rows/accounts/apikey/{path}").content.decode()
        assert "laptop" in page
        assert row.key_hash not in page
    assert client.get("/admin/rows/accounts/apikey/add/").status_code == 403
    assert client.post(f"/admin/rows/accounts/apikey/{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert find_key(key) is None
