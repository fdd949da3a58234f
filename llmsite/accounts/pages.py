"""What the views of every page need: their methods and 404s, who asks, and whether htmx does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.utils.cache import patch_vary_headers

from llmsite.accounts.models import User
from llmsite.types.errors import NotFound

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def page(*methods: str) -> Callable[[View], View]:
    """A view for these methods. What the person does not have is a 404, whoever else may have it."""

    def decorate(view: View) -> View:
        @wraps(view)
        async def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in methods:
                return HttpResponseNotAllowed(methods)
            try:
                response = await view(request, *args, **kwargs)
            except NotFound as error:
                raise Http404(str(error)) from error
            patch_vary_headers(response, ["HX-Request"])
            return response

        return answer

    return decorate


def is_htmx(request: HttpRequest) -> bool:
    """Whether a part of the page is asked for. django-htmx's middleware has looked at the headers."""
    return bool(request.htmx)  # type: ignore[attr-defined]


def user_of(request: HttpRequest) -> User:
    """The signed-in person; the table of rights lets nobody else come to a page that asks."""
    user: User = request.principal.user  # type: ignore[attr-defined]
    return user
