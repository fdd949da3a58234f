"""What every REST view shares: which methods it knows, errors as JSON, no traces to the caller."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from api.errors import JSON, error_response, internal_error
from api.streams import GeneratorResponse
from llmsite.accounts.authorize import ANONYMOUS, Action, Principal, action_of
from llmsite.accounts.revocation import Use
from llmsite.types.codec import go_json
from llmsite.types.errors import LlmsiteError

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]
ToResponse = Callable[[LlmsiteError], HttpResponse]

_TEXT: Final = "text/plain"


def endpoint(*methods: str, to_response: ToResponse = error_response) -> Callable[[View], View]:
    """A REST view for these methods. HEAD gets the headers of GET; other methods a 405 that lists these (catalogue 14.3).

    Errors of `types/errors.py` become what `to_response` makes of them, whatever else is raised a 500 with a number and a log
    line. A caller who loses the right meanwhile gets no more of the answer.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        async def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response = await _respond(view, methods, to_response, request, args, kwargs)
            return _without_body(response) if request.method == "HEAD" else response

        answer.methods = methods  # type: ignore[attr-defined]
        return csrf_exempt(answer)

    return decorate


async def _respond(
    view: View,
    methods: tuple[str, ...],
    to_response: ToResponse,
    request: HttpRequest,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> HttpResponseBase:
    if request.method not in methods:
        return method_not_allowed(methods)
    with _use_of(request) as use:
        try:
            response = await use.hold(view(request, *args, **kwargs))
        except LlmsiteError as error:
            return to_response(error)
        except Exception as error:  # noqa: BLE001 - the outermost turn of a request: logged, and never shown
            return to_response(internal_error(error))
    if use.can_end and isinstance(response, GeneratorResponse):
        response.hold_by(use)
    return response


def _use_of(request: HttpRequest) -> Use:
    """The right that the middleware let this request in by."""
    match = request.resolver_match
    action = action_of(match.view_name, request.method or "") if match else None
    return Use(getattr(request, "principal", ANONYMOUS), action or Action.MANAGE)


def queue_key(request: HttpRequest) -> str:
    """Who asks, for fair queues; the middleware of `accounts` found out."""
    principal: Principal = request.principal  # type: ignore[attr-defined]
    return principal.queue_key


def methods_of(view: Any) -> tuple[str, ...]:
    """The methods a view was declared with; none for a view that is not a REST endpoint."""
    methods: tuple[str, ...] = getattr(view, "methods", ())
    return methods


def json_response(value: Any) -> HttpResponse:
    """Compact JSON as Go writes it, without a newline."""
    return HttpResponse(go_json(value), content_type=JSON)


def empty_response(status: int) -> HttpResponse:
    """An answer without a body and, as Ollama's, without a content type."""
    response = HttpResponse(status=status)
    del response.headers["Content-Type"]
    return response


def method_not_allowed(methods: tuple[str, ...]) -> HttpResponse:
    response = HttpResponse("405 method not allowed", status=405, content_type=_TEXT)
    response.headers["Allow"] = ", ".join(methods)
    return response


def page_not_found() -> HttpResponse:
    """Gin's text for a path that nobody serves (catalogue 2)."""
    return HttpResponse("404 page not found", status=404, content_type=_TEXT)


def _without_body(response: HttpResponseBase) -> HttpResponseBase:
    if isinstance(response, HttpResponse) and response.content:
        response.headers["Content-Length"] = str(len(response.content))
        response.content = b""
    return response
