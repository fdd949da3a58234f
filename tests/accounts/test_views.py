"""Setting up, signing in and out, language, theme, refusals, headers: the pages as a browser meets them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.http import HttpRequest, HttpResponseBase
from django.test import Client
from django.urls import path
from django.utils import timezone

from llmsite.accounts.models import OwnerLink, User
from llmsite.accounts.trust import NEAR, STRANGER, Trust
from llmsite.urls import urlpatterns as all_urls
from tests.accounts.caller import Caller

PASSWORD = "a long enough secret"
PAGE = {"HTTP_ACCEPT": "text/html"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create_superuser("alice", "alice@site.example", PASSWORD)


@pytest.fixture
def bob(alice: User) -> User:
    return User.objects.create_user("bob", "bob@site.example", PASSWORD)


def sign_in(client: Client, name: str, password: str = PASSWORD, **extra: Any) -> Any:
    return client.post("/sign-in", {"username": name, "password": password, **extra})


def make_account(token: str, name: str = "alice", **changes: str) -> dict[str, str]:
    return {"t": token, "username": name, "email": "", "password1": PASSWORD, "password2": PASSWORD} | changes


# the owner link


def test_without_its_link_the_setup_page_says_where_to_find_it(client: Client) -> None:
    response = client.get("/setup")
    assert response.status_code == 200
    assert response.context["form"] is None


def test_the_first_visitor_is_sent_to_setup_and_becomes_nobody(client: Client) -> None:
    assert client.get("/sign-in").headers["Location"] == "/setup"
    assert client.post("/setup", make_account("")).status_code == 200
    assert client.post("/setup", make_account("guess")).status_code == 403
    assert not User.objects.exists()


def test_the_owner_link_makes_one_administrator_and_signs_in(client: Client) -> None:
    token = OwnerLink.issue(900)
    assert token not in {link.token_hash for link in OwnerLink.objects.all()}
    assert client.get(f"/setup?t={token}").context["form"] is not None
    response = client.post("/setup", make_account(token))
    assert response.status_code == 302
    user = User.objects.get()
    assert user.is_admin
    assert client.session["_auth_user_id"] == str(user.pk)
    assert not OwnerLink.objects.exists()
    assert Client().post("/setup", make_account(token, "mallory")).headers["Location"] == "/sign-in"
    assert User.objects.count() == 1


def test_looking_at_the_link_does_not_use_it_up(client: Client) -> None:
    token = OwnerLink.issue(900)
    for _ in range(3):
        client.get(f"/setup?t={token}")
    assert OwnerLink.is_valid(token)


def test_a_refused_form_does_not_use_the_link_up(client: Client) -> None:
    token = OwnerLink.issue(900)
    response = client.post("/setup", make_account(token, password1="short", password2="short"))
    assert response.status_code == 422
    assert OwnerLink.is_valid(token)


def test_a_new_link_ends_the_old_one_and_time_ends_both() -> None:
    old = OwnerLink.issue(900)
    new = OwnerLink.issue(900)
    assert not OwnerLink.is_valid(old)
    assert OwnerLink.is_valid(new)
    OwnerLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert not OwnerLink.is_valid(new)
    assert not OwnerLink.use(new)


# signing in


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@site.example", "Alice@Site.example"])
def test_name_or_address_signs_in(client: Client, alice: User, name: str) -> None:
    assert sign_in(client, name).headers["Location"] == "/"
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_the_answer_for_nobody_is_that_for_a_wrong_password(client: Client, alice: User) -> None:
    wrong, nobody = sign_in(client, "alice", "wrong"), sign_in(client, "nobody", "wrong")
    assert wrong.status_code == nobody.status_code == 422
    assert wrong.context["form"].errors == nobody.context["form"].errors
    assert set(wrong.context["form"].errors) == {"__all__"}


def test_T55_tries_are_counted_per_account_by_whichever_name(client: Client, alice: User, settings: Any) -> None:
    for number in range(settings.AXES_FAILURE_LIMIT):
        response = sign_in(client, ("alice", "alice@site.example", "ALICE")[number % 3], "wrong")
    assert response.status_code == 429
    response = sign_in(client, "alice")
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 15 * 60
    assert "_auth_user_id" not in client.session


def test_T55_an_unknown_account_is_locked_alike(client: Client, alice: User, settings: Any) -> None:
    statuses = [sign_in(client, "nobody", "wrong").status_code for _ in range(settings.AXES_FAILURE_LIMIT + 1)]
    assert statuses == [422] * (settings.AXES_FAILURE_LIMIT - 1) + [429] * 2


def test_T55_an_address_is_locked_after_many_accounts(client: Client, alice: User, settings: Any) -> None:
    for number in range(settings.AXES_FAILURE_LIMIT * 5):
        assert sign_in(client, f"nobody{number}", "wrong").status_code == 422
    assert sign_in(client, "alice").status_code == 429


def test_a_lock_ends_with_its_time(client: Client, alice: User, settings: Any) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        sign_in(client, "alice", "wrong")
    AccessAttempt.objects.update(attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME - timedelta(seconds=1))
    assert sign_in(client, "alice").status_code == 302


def test_T56_the_session_is_new_after_signing_in_and_dead_after_signing_out(client: Client, alice: User) -> None:
    client.get("/sign-in")
    session = client.session
    session["mark"] = 1
    session.save()
    before = client.session.session_key
    sign_in(client, "alice")
    after = client.session.session_key
    assert before != after
    client.post("/sign-out")
    thief = Client()
    thief.cookies["llmsite_session"] = after or ""
    assert thief.get("/", **PAGE).status_code == 302


def test_T56_a_changed_password_ends_sessions_elsewhere(client: Client, alice: User) -> None:
    sign_in(client, "alice")
    alice.set_password("another long secret")
    alice.save()
    assert client.get("/", **PAGE).headers["Location"] == "/sign-in"


@pytest.mark.parametrize("state", [User.State.PENDING, User.State.DISABLED])
def test_an_account_that_may_not_enter_gets_its_own_page(client: Client, bob: User, state: str) -> None:
    User.objects.filter(pk=bob.pk).update(state=state)
    response = sign_in(client, "bob")
    assert response.status_code == 403
    assert "_auth_user_id" not in client.session


def test_a_disabled_account_is_out_at_its_next_request(client: Client, bob: User) -> None:
    sign_in(client, "bob")
    User.objects.filter(pk=bob.pk).update(state=User.State.DISABLED)
    assert client.get("/c/whatever").headers["Location"] == "/sign-in?next=/c/whatever"


@pytest.mark.parametrize(("stay", "is_kept"), [("on", True), ("", False)])
def test_staying_signed_in_is_a_choice(client: Client, alice: User, stay: str, is_kept: bool) -> None:
    response = sign_in(client, "alice", stay=stay)
    assert bool(response.cookies["llmsite_session"]["max-age"]) is is_kept


def test_cookies_are_closed_to_scripts_and_other_sites(client: Client, alice: User) -> None:
    response = sign_in(client, "alice")
    for name in ("llmsite_session", "llmsite_csrf"):
        assert response.cookies[name]["httponly"]
        assert response.cookies[name]["samesite"] == "Lax"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        "evil.example",
        " /c/x",
        "/\x00",
        "",
    ],
)
def test_T48_next_leads_nowhere_else(client: Client, alice: User, target: str) -> None:
    assert sign_in(client, "alice", next=target).headers["Location"] == "/"


def test_next_leads_back(client: Client, alice: User) -> None:
    assert sign_in(client, "alice", next="/c/abc?x=1").headers["Location"] == "/c/abc?x=1"


# forms and methods


@pytest.mark.parametrize("address", ["/sign-in", "/sign-out", "/language", "/theme", "/setup"])
def test_T47_a_form_without_its_token_is_refused(alice: User, address: str) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post(address, {"username": "alice", "password": PASSWORD, "language": "en", "theme": "dark"})
    assert response.status_code == 403
    assert "llmsite_session" not in response.cookies


@pytest.mark.parametrize("address", ["/sign-out", "/language", "/theme"])
def test_T47_a_get_changes_nothing(client: Client, address: str) -> None:
    assert client.get(address).status_code == 405


# language and theme


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh", "zh-hans"),
        ("zh-CN", "zh-hans"),
        ("zh-Hans", "zh-hans"),
        ("zh-SG,zh;q=0.9", "zh-hans"),
        ("zh-Hans-CN", "zh-hans"),
        ("de,zh-CN;q=0.5,en;q=0.3", "zh-hans"),
        ("en-GB,zh-CN;q=0.5", "en"),
        ("zh-TW", "en"),
        ("zh-Hant", "en"),
        ("de", "en"),
        ("", "en"),
        ("zh;q=0,en;q=0.1", "en"),
    ],
)
def test_the_browser_is_understood(client: Client, alice: User, accepted: str, language: str) -> None:
    assert client.get("/sign-in", headers={"Accept-Language": accepted}).headers["Content-Language"] == language


def test_language_goes_by_account_then_cookie_then_browser(client: Client, alice: User) -> None:
    client.post("/language", {"language": "zh-hans", "next": "/sign-in"})
    assert client.get("/sign-in", headers={"Accept-Language": "en"}).headers["Content-Language"] == "zh-hans"
    sign_in(client, "alice")
    client.post("/language", {"language": "en"})
    alice.refresh_from_db()
    assert alice.language == "en"
    client.cookies["llmsite_language"] = "zh-hans"
    assert client.get("/nothing", headers={"Accept-Language": "zh"}).headers["Content-Language"] == "en"


def test_an_unknown_language_or_theme_is_refused(client: Client) -> None:
    assert client.post("/language", {"language": "tlh"}).status_code == 400
    assert client.post("/theme", {"theme": "neon"}).status_code == 400


def test_the_theme_is_remembered(client: Client, alice: User) -> None:
    response = client.post("/theme", {"theme": "dark", "next": "/sign-in"})
    assert response.headers["Location"] == "/sign-in"
    assert client.get("/sign-in").context["theme"] == "dark"


# what comes with every answer


@pytest.mark.parametrize("address", ["/sign-in", "/setup", "/nothing", "/c/x"])
def test_T45_headers_of_every_page(client: Client, alice: User, address: str) -> None:
    response = client.get(address, follow=True)
    policy = response.headers["Content-Security-Policy"]
    nonce = response.context["csp_nonce"]
    assert policy == (
        f"default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Cookie" in response.headers["Vary"]
    assert nonce != client.get(address, follow=True).context["csp_nonce"]


def test_static_files_are_served_with_their_guard(client: Client) -> None:
    response = client.get("/static/site.css")
    assert response.status_code == 200
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in response.headers


def test_htmx_hears_that_the_session_ended(client: Client, alice: User) -> None:
    assert client.post("/c/x/send", headers={"HX-Request": "true"}).status_code == 401


# faults


def broken(request: HttpRequest) -> HttpResponseBase:
    raise RuntimeError("secret /etc/path")


class Broken:
    urlpatterns = (path("sign-in", broken, name="x"), path("api/broken", broken, name="y"), *all_urls)
    handler404 = "llmsite.accounts.refusals.page_not_found"
    handler500 = "llmsite.accounts.refusals.server_error"


@pytest.fixture
def _faults(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmsite.accounts import authorize

    settings.ROOT_URLCONF = Broken
    monkeypatch.setattr(authorize, "ROUTES", {**authorize.ROUTES, "x": authorize.Action.ENTER, "y": authorize.Action.HELLO})


@pytest.mark.usefixtures("_faults")
@pytest.mark.parametrize("address", ["/sign-in", "/api/broken"])
def test_F42_a_fault_shows_an_id_and_no_trace(address: str, caplog: pytest.LogCaptureFixture) -> None:
    response = Client(raise_request_exception=False).get(address)
    assert response.status_code == 500
    assert b"secret" not in response.content
    found = next(record for record in caplog.records if record.getMessage().startswith("internal error"))
    assert isinstance(found.args, tuple)
    assert str(found.args[0]).encode() in response.content
    assert found.exc_info


def test_a_missing_page_is_a_page_and_a_missing_route_is_text(client: Client, alice: User) -> None:
    assert client.get("/nothing").headers["Content-Type"].startswith("text/html")
    response = client.get("/v2/nothing")
    assert (response.status_code, response.content) == (404, b"404 page not found")
    assert response.headers["Content-Type"] == "text/plain"


# REST


@pytest.mark.parametrize(
    ("trust", "auth", "headers", "status"),
    [
        (NEAR, "auto", {}, 200),
        (NEAR, "auto", {"Authorization": "Bearer ollama"}, 200),
        (NEAR, "auto", {"Authorization": "Bearer llmsite_unknown"}, 401),
        (NEAR, "auto", {"X-Api-Key": "llmsite_unknown"}, 401),
        (NEAR, "required", {}, 401),
        (NEAR, "off", {}, 200),
        (STRANGER, "auto", {}, 401),
        (STRANGER, "auto", {"Authorization": "Bearer ollama"}, 401),
        (STRANGER, "required", {}, 401),
        (STRANGER, "off", {}, 200),
    ],
)
async def test_who_may_ask_the_api(trust: Trust, auth: str, headers: dict[str, str], status: int, settings: Any) -> None:
    settings.LLMSITE_API_AUTH = auth
    response = await Caller(trust).get("/api/version", headers=headers)
    assert response.status_code == status
    if status == 401:
        assert set(response.json()) == {"error"}
    if "llmsite_unknown" in str(headers):
        assert response.json() == {"error": "invalid api key"}


async def test_a_stranger_hears_that_we_run_and_nothing_else() -> None:
    client = Caller(STRANGER)
    response = await client.get("/")
    assert (response.status_code, response.content) == (200, b"Ollama is running")
    assert (await client.get("/", headers={"Accept": "text/html"})).status_code == 302


@pytest.mark.django_db(transaction=True)
async def test_a_signed_in_person_uses_the_api_from_our_own_pages_only() -> None:
    user = await User.objects.acreate_user("carol", password=PASSWORD)
    ours = Caller(STRANGER)
    await ours.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert (await ours.get("/api/version")).status_code == 200
    theirs = Caller(Trust(is_loopback=False, is_same_origin=False))
    theirs.cookies = ours.cookies
    assert (await theirs.get("/api/version")).status_code == 401
