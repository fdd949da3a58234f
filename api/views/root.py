"""GET /: the line that clients look for, or the chat for people."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

from api.endpoint import View, endpoint
from llmsite.accounts.pages import is_htmx

_TEXT = "text/plain; charset=utf-8"


def make_root(page: View) -> View:
    """The view of `/`. `page` is the chat, shown to clients that prefer HTML or are htmx."""

    @endpoint("GET", "HEAD")
    async def root(request: HttpRequest) -> HttpResponseBase:
        response = await page(request) if wants_page(request) else HttpResponse("Ollama is running", content_type=_TEXT)
        patch_vary_headers(response, ["Accept", "HX-Request"])
        return response

    return root


def wants_page(request: HttpRequest) -> bool:
    """Whether a browser asks. A client that takes anything, as curl says, is a program."""
    if is_htmx(request):
        return True
    return request.get_preferred_type(["text/plain", "text/html"]) == "text/html"
