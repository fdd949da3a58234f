"""How a refused or failed request is answered: JSON or plain text on REST paths, a page of our own elsewhere, no trace anywhere.

The page is the template `<status>.html`, given `what` (what happened), `action` (what to do) and `error_id` where there are any.
"""

from __future__ import annotations

import logging
import secrets
import sys
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from llmsite.accounts.authorize import ANONYMOUS, Action, Principal, authorize
from llmsite.accounts.pages import is_htmx
from llmsite.accounts.trust import is_rest_path
from llmsite.types.codec import go_json
from llmsite.types.errors import Forbidden, Unauthorized

log = logging.getLogger(__name__)


def rest_error(path: str, status: int, text: str) -> HttpResponse:
    """Error body of the REST API; under /v1 in OpenAI's shape, under /v2 in that of registries."""
    body: Any = text
    if path.startswith("/v2/"):
        return HttpResponse(registry_error(status, text), status=status, content_type="application/json; charset=utf-8")
    if path.startswith("/v1/"):
        kind = "authentication_error" if status == 401 else "invalid_request_error" if status < 500 else "api_error"
        body = {"message": text, "type": kind, "param": None, "code": None}
    return HttpResponse(go_json({"error": body}), status=status, content_type="application/json; charset=utf-8")


def registry_error(status: int, text: str, code: str = "") -> bytes:
    """Error body of a registry, as its clients parse it."""
    known = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NAME_UNKNOWN", 429: "TOOMANYREQUESTS", 405: "UNSUPPORTED"}
    return go_json({"errors": [{"code": code or known.get(status, "UNKNOWN"), "message": text}]})


def error_page(request: HttpRequest, status: int, what: str = "", action: str = "", error_id: str = "") -> HttpResponse:
    """The page of a status; `what` and `action` replace its own words and are already in the reader's language."""
    context = {"status": status, "what": what, "action": action, "error_id": error_id}
    return render(request, f"{status}.html", context, status=status)


def refuse(request: HttpRequest, action: Action) -> HttpResponseBase | None:
    """None when the caller may do this; else the answer that says no: JSON for REST, 401 for htmx, the sign-in page else."""
    principal: Principal = getattr(request, "principal", ANONYMOUS)
    try:
        authorize(principal, action)
    except Unauthorized as error:
        return _ask_to_sign_in(request, str(error))
    except Forbidden as error:
        if is_rest_path(request.path):
            return rest_error(request.path, 403, str(error))
        return error_page(request, 403)
    return None


def _ask_to_sign_in(request: HttpRequest, text: str) -> HttpResponseBase:
    if is_rest_path(request.path):
        response = rest_error(request.path, 401, text)
        response["WWW-Authenticate"] = "Bearer"
        return response
    if is_htmx(request):
        return HttpResponse(_("Your session has ended. Sign in again."), status=401, content_type="text/plain; charset=utf-8")
    target = reverse("accounts:sign_in")
    if request.method == "GET" and request.path != "/":
        target += f"?next={quote(request.get_full_path())}"
    return HttpResponseRedirect(target)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400."""
    if is_rest_path(request.path):
        return rest_error(request.path, 400, "invalid request")
    return error_page(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403."""
    if is_rest_path(request.path):
        return rest_error(request.path, 403, "not allowed")
    return error_page(request, 403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without its token: an old page, or somebody else's."""
    return render(request, "403_csrf.html", {"status": 403}, status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404 (catalogue 2: plain text on REST paths)."""
    if is_rest_path(request.path):
        return HttpResponse("404 page not found", status=404, content_type="text/plain")
    return error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: an id that stands in the log beside the trace, which stays there."""
    error_id = secrets.token_hex(4)
    log.error("internal error (id %s) in %s %s", error_id, request.method, request.path, exc_info=sys.exc_info())
    if is_rest_path(request.path):
        return rest_error(request.path, 500, f"internal error (id {error_id})")
    return error_page(request, 500, error_id=error_id)
