"""What every request meets: security headers, session and language for pages, the principal, and the table of rights.

REST requests skip the parts made for pages (they would cost a thread per request); `PageOnly` does that. The order stands in
`settings.MIDDLEWARE`. Everything is async; Django adapts it where a test client is not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from importlib import import_module
from typing import Any, cast

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers

from llmsite.accounts import csp
from llmsite.accounts.authorize import ANONYMOUS, LOOPBACK, Action, Principal, action_of, principal_of, principal_of_key
from llmsite.accounts.keys import KEY_PREFIX, find_key
from llmsite.accounts.language import choose_language
from llmsite.accounts.models import User
from llmsite.accounts.rates import seconds_to_wait
from llmsite.accounts.refusals import refuse, rest_error
from llmsite.accounts.trust import STRANGER, Trust, is_rest_path
from llmsite.types.errors import Unauthorized

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


class AsyncMiddleware:
    """Base: an async callable around the next one."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)  # type: ignore[type-var]


class SecurityHeaders(AsyncMiddleware):
    """Outermost: `request.csp_nonce`, and the headers of `csp.py` on whatever comes back, static files and errors included."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        nonce = csp.make_nonce()
        request.csp_nonce = nonce  # type: ignore[attr-defined]
        response = await self.get_response(request)
        for name, value in csp.headers_for(response.headers.get("Content-Type", ""), nonce).items():
            response.headers.setdefault(name, value)
        return response


class PageOnly:
    """Mixin: the middleware does nothing for REST paths."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        # with a synchronous test client; else this returns the coroutine of __acall__
        if is_rest_path(request.path):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        if is_rest_path(request.path):
            return cast("HttpResponseBase", await self.get_response(request))
        return cast("HttpResponseBase", await super().__acall__(request))  # type: ignore[misc]


class Sessions(PageOnly, SessionMiddleware): ...


class Common(PageOnly, CommonMiddleware): ...


class Authentication(PageOnly, AuthenticationMiddleware): ...


class Messages(PageOnly, MessageMiddleware): ...


class Csrf(PageOnly, CsrfViewMiddleware):
    """REST routes are held by the Origin rule (trust.py) and carry no forms."""

    async def process_view(  # type: ignore[override]
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        # async so that no request pays a thread for it; it reads cookies and the form, which are in memory by now
        if is_rest_path(request.path):
            return None
        return super().process_view(request, view, args, kwargs)


class Identity(AsyncMiddleware):
    """Sets `request.principal` and `request.user`, read fresh from the database at each request, and enforces the table."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            principal = await find_principal(request)
        except Unauthorized as error:
            return _slow_down(request, None) or rest_error(request.path, 401, str(error))
        request.principal = principal  # type: ignore[attr-defined]
        if is_rest_path(request.path):
            return _slow_down(request, principal) or await self.get_response(request)
        language = choose_language(request, principal.user)
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = await self.get_response(request)
        _mark_private(response, language)
        return response

    async def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> HttpResponseBase | None:
        match = request.resolver_match
        action = action_of(match.view_name, request.method or "") if match else None
        # a route that nobody listed is for administrators
        return refuse(request, action or Action.MANAGE)


def _slow_down(request: HttpRequest, principal: Principal | None) -> HttpResponseBase | None:
    seconds = seconds_to_wait(request, principal)
    if not seconds:
        return None
    response = rest_error(request.path, 429, f"too many requests: please try again in {seconds} s")
    response.headers["Retry-After"] = str(seconds)
    return response


def _mark_private(response: HttpResponseBase, language: str) -> None:
    """Pages are made for one person: nobody may keep them (threat T48)."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Content-Language", language)
    patch_vary_headers(response, ("Cookie", "Accept-Language"))


async def find_principal(request: HttpRequest) -> Principal:
    """Who asks. Raises `Unauthorized` for a bearer value that claims to be a key and is none (rule 1)."""
    trust: Trust = getattr(request, "scope", {}).get("trust", STRANGER)
    if is_rest_path(request.path):
        if principal := await _key_holder(request, trust):
            return principal
        if not trust.is_same_origin or settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return _without_account(trust)
    principal = await signed_in(request)
    return principal if principal.is_person else _without_account(trust)


async def _key_holder(request: HttpRequest, trust: Trust) -> Principal | None:
    """The principal of the key that was sent; None without one.

    A key that is not good never falls back to what its sender might do without it: whoever revokes a key wants it to fail. Other
    bearer values are placeholders that Ollama's clients send; they count as absent for callers who need no key.
    """
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    token = value.strip() if scheme.lower() == "bearer" else request.headers.get("X-Api-Key", "").strip()
    if not token or (not token.startswith(KEY_PREFIX) and _without_account(trust) != ANONYMOUS):
        return None
    key = await sync_to_async(find_key)(token) if token.startswith(KEY_PREFIX) else None
    if key is None:
        raise Unauthorized("invalid api key")
    return principal_of_key(key)


async def signed_in(request: HttpRequest) -> Principal:
    """The principal behind the session cookie. Sets `request.user` to the loaded row, so no template asks the database again."""
    if not hasattr(request, "session"):
        store = import_module(settings.SESSION_ENGINE).SessionStore
        request.session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = await auth.aget_user(request)
    request.user = user
    return principal_of(user) if isinstance(user, User) else ANONYMOUS


def _without_account(trust: Trust) -> Principal:
    """A caller without key or session: LLMSITE_API_AUTH=off opens the REST API, `required` closes it, `auto` looks closer."""
    if settings.LLMSITE_API_AUTH == "off":
        return LOOPBACK
    if settings.LLMSITE_API_AUTH == "required":
        return ANONYMOUS
    return LOOPBACK if trust.is_loopback else ANONYMOUS


def guarded(view: View, action: Action) -> View:
    """A view that is reached through another route, with the right it needs itself: the chat behind `/`."""

    @wraps(view)
    async def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return refuse(request, action) or await view(request, *args, **kwargs)

    return answer
