"""Setting up the first account, signing in and out, language and theme. Everything that changes state is a POST."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.contrib import auth
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from llmsite.accounts.context import THEME_COOKIE, THEMES
from llmsite.accounts.forms import SetupForm, SignInForm
from llmsite.accounts.language import known_languages
from llmsite.accounts.models import OwnerLink, User, has_admin
from llmsite.accounts.pages import is_htmx
from llmsite.accounts.refusals import error_page
from llmsite.accounts.throttle import seconds_locked_for_account, seconds_locked_for_address

_STAY_SECONDS: Final = 30 * 24 * 3600
_YEAR_SECONDS: Final = 365 * 24 * 3600
_BACKEND: Final = "django.contrib.auth.backends.ModelBackend"


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password1", "password2", "t")
def setup(request: HttpRequest) -> HttpResponse:
    """The page behind the owner link. Without a valid link it says where to find one."""
    if has_admin():
        return redirect("accounts:sign_in")
    token = request.POST.get("t", "") or request.GET.get("t", "")
    if not OwnerLink.is_valid(token):
        return render(request, "accounts/setup.html", {"form": None}, status=403 if token else 200)
    form = SetupForm(request.POST or None, initial={"t": token})
    if request.method != "POST" or not form.is_valid():
        return render(request, "accounts/setup.html", {"form": form}, status=422 if form.is_bound else 200)
    with transaction.atomic():
        if not OwnerLink.use(token):  # somebody else was first
            return redirect("accounts:sign_in")
        user = form.make(is_admin=True)
    auth.login(request, user, backend=_BACKEND)
    request.session.set_expiry(_STAY_SECONDS)
    return redirect("/")


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Name or e-mail and password. The answer is the same for a wrong password and for nobody."""
    target = _next_of(request)
    if request.method != "POST":
        if not has_admin():
            return redirect("accounts:setup")
        if request.principal.is_person:  # type: ignore[attr-defined]
            return redirect(target)
        return render(request, "accounts/sign_in.html", {"form": SignInForm(), "next": target})
    form = SignInForm(request.POST)
    if form.is_valid():
        return _try_to_sign_in(request, form, target)
    return render(request, "accounts/sign_in.html", {"form": form, "next": target}, status=422)


def _try_to_sign_in(request: HttpRequest, form: SignInForm, target: str) -> HttpResponse:
    # 1. the address, 2. the account (axes), 3. the password, 4. the account's state
    if seconds := seconds_locked_for_address(request):
        return _too_many(request, seconds)
    username = _account_name(form.cleaned_data["username"])
    user = auth.authenticate(request, username=username, password=form.cleaned_data["password"])
    if user is None:
        if getattr(request, "axes_locked_out", False):
            return _too_many(request, seconds_locked_for_account(username))
        form.add_error(None, _("Name and password do not fit together."))
        return render(request, "accounts/sign_in.html", {"form": form, "next": target}, status=422)
    assert isinstance(user, User)
    if user.state == User.State.PENDING:
        return error_page(request, 403, _("Your account is waiting for approval."), _("An administrator has to approve it."))
    if user.state == User.State.DISABLED:
        return error_page(request, 403, _("Your account is disabled."), _("Ask an administrator if you think it should not be."))
    auth.login(request, user, backend=_BACKEND)
    request.session.set_expiry(_STAY_SECONDS if form.cleaned_data["stay"] else 0)
    return redirect(target)


def _account_name(entered: str) -> str:
    """The user name behind a name or e-mail address, so that both count as one account; the entered text when nobody has it."""
    found = list(
        User.objects.filter(Q(username__iexact=entered) | Q(email__iexact=entered)).values_list("username", flat=True)[:2]
    )
    return next((name for name in found if name.lower() == entered.lower()), found[0]) if found else entered.lower()


def locked_out(request: HttpRequest, original_response: Any = None, credentials: Any = None) -> HttpResponse:
    """What the middleware of django-axes answers; the view's own answer stands."""
    if isinstance(original_response, HttpResponse) and original_response.status_code == 429:
        return original_response
    username = (credentials or original_response or {}).get("username", "")
    return _too_many(request, seconds_locked_for_account(username))


def _too_many(request: HttpRequest, seconds: int) -> HttpResponse:
    minutes = max(1, -(-seconds // 60))
    what = _("Too many wrong passwords were tried.")
    left = ngettext("Try again in %(count)s minute.", "Try again in %(count)s minutes.", minutes) % {"count": minutes}
    response = error_page(request, 429, what, left)
    response["Retry-After"] = str(max(1, seconds))
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session here; its cookie is worth nothing afterwards."""
    auth.logout(request)
    return _go(request, reverse("accounts:sign_in"))


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Remember a language in the cookie, and in the account of a signed-in person."""
    code = request.POST.get("language", "")
    if code not in known_languages():
        return error_page(request, 400)
    user = request.principal.user  # type: ignore[attr-defined]
    if user is not None:
        User.objects.filter(pk=user.pk).update(language=code)
    response = _go(request, _next_of(request))
    _remember(response, settings.LANGUAGE_COOKIE_NAME, code)
    return response


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember a theme in the cookie."""
    name = request.POST.get("theme", "")
    if name not in dict(THEMES):
        return error_page(request, 400)
    response = _go(request, _next_of(request))
    _remember(response, THEME_COOKIE, name)
    return response


def _remember(response: HttpResponse, name: str, value: str) -> None:
    response.set_cookie(
        name, value, max_age=_YEAR_SECONDS, httponly=True, samesite="Lax", secure=bool(settings.SESSION_COOKIE_SECURE)
    )


def _go(request: HttpRequest, target: str) -> HttpResponse:
    """A redirect that also htmx follows with the whole page."""
    if is_htmx(request):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = target
        return response
    return HttpResponseRedirect(target)


def _next_of(request: HttpRequest) -> str:
    """Where to go afterwards: a path of ours, whatever was asked for (threat T48)."""
    target = request.POST.get("next") or request.GET.get("next") or "/"
    if target.startswith("/") and target.isprintable() and url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return target
    return "/"
