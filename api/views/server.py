"""What the server says about itself: version, cloud status, and the answers for what only Ollama's cloud has (catalogue 17)."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import Resolver404, resolve

import llmsite
from api.endpoint import endpoint, json_response, page_not_found
from api.errors import JSON, body_of

_ALL_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


OLLAMA_VERSION: Final = "0.33.0"
"""Of the Ollama whose behaviour this is: editors ask for a version they know and refuse older ones (catalogue 15)."""


@endpoint("GET", "HEAD")
async def version(request: HttpRequest) -> HttpResponseBase:
    return json_response({"version": OLLAMA_VERSION, "llmsite": llmsite.__version__})


@endpoint("GET")
async def status(request: HttpRequest) -> HttpResponseBase:
    """There is no cloud here, and no switch to turn one on."""
    return json_response({"cloud": {"disabled": True, "source": "config"}})


@endpoint("POST")
async def me(request: HttpRequest) -> HttpResponseBase:
    """Nobody has an account with Ollama's cloud here (catalogue 17)."""
    return HttpResponse(body_of("account unavailable"), status=503, content_type=JSON)


@endpoint(*_ALL_METHODS)
async def unknown(request: HttpRequest) -> HttpResponseBase:
    """Any other path under /api: without its trailing slash if that exists, else gin's 404."""
    bare = request.path.rstrip("/")
    if bare == request.path or not _is_known(bare):
        return page_not_found()
    query = request.META.get("QUERY_STRING", "")
    response = HttpResponse(status=301 if request.method == "GET" else 307)
    response.headers["Location"] = quote(bare) + (f"?{query}" if query else "")
    return response


def _is_known(path: str) -> bool:
    try:
        return resolve(path).func is not unknown
    except Resolver404:
        return False
