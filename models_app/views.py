"""Pages of administrators about models: downloads. Everything that changes state is a POST; the socket only shows it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.shortcuts import render as render_now
from django.utils.translation import gettext as _

from llmsite.accounts.models import User
from llmsite.accounts.pages import View, is_htmx, page, user_of
from llmsite.types.errors import Busy, Conflict, InvalidRequest, LoadFailed, StorageFailed, StorageFull
from models_app import downloads, jobs
from models_app.outlook import look_ahead
from models_app.progress import read_board, whole_board
from models_app.pull_names import read_pull_name

logger = logging.getLogger(__name__)

Rail = Callable[[HttpRequest], Coroutine[Any, Any, Any]]
"""Makes the list of chats beside every page; the chat's, handed in with the routes."""

_render = sync_to_async(render_now)


def make_downloads(rail: Rail) -> tuple[View, View]:
    """The page with all downloads, and the POST that starts one."""

    async def whole_page(request: HttpRequest, status: int = 200, **more: Any) -> HttpResponse:
        context = {"board": await sync_to_async(read_board)(), **more}
        if is_htmx(request):
            context["layout"] = "shell/fragment.html"
        else:
            context["rail"] = await rail(request)
        return await _render(request, "models/downloads.html", context, status=status)

    @page("GET", "HEAD")
    async def downloads_page(request: HttpRequest) -> HttpResponseBase:
        return await whole_page(request)

    @page("POST")
    async def pull(request: HttpRequest) -> HttpResponseBase:
        """Start a pull of the name in the form, or join the one that runs."""
        asked = request.POST.get("name", "").strip()
        error = await _start(asked, user_of(request))
        if not is_htmx(request):
            return await whole_page(request, 422, pull_name=asked, pull_error=error) if error else redirect("models:downloads")
        form = {"pull_name": asked, "pull_error": error} if error else {}
        response = await _render(request, "models/_pull_form.html", form, status=422 if error else 200)
        response.write((await _board_now()).encode())
        return response

    return downloads_page, pull


async def _start(asked: str, user: User) -> str:
    """Start a pull; what is wrong with it, or nothing. `http://` before the name says that the registry has no TLS."""
    try:
        name = read_pull_name(asked)
        await downloads.start("pull", str(name), insecure=name.scheme == "http", user=user)
    except InvalidRequest:
        return _no_name()
    except Busy:
        return _too_many()
    return ""


def _too_many() -> str:
    return _("Too many downloads are waiting. Try again when some are done.")


def _no_name() -> str:
    return _("This is no name of a model. Names look like qwen3:8b, namespace/model:tag or hf.co/user/repository.")


@page("POST")
async def preview(request: HttpRequest) -> HttpResponseBase:
    """What a pull of the name in the field would bring. A POST, since it makes this site ask another one."""
    asked = request.POST.get("name", "").strip()
    context: dict[str, Any] = {"oob": "true"}
    try:
        context["outlook"] = await look_ahead(read_pull_name(asked), user_of(request)) if asked else None
    except InvalidRequest:
        context["hint"] = _no_name()
    return await _render(request, "models/_outlook.html", context)


@page("POST")
async def cancel(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return await _act(request, jobs.cancel, job_id)


@page("POST")
async def resume(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return await _act(request, jobs.resume, job_id)


@page("POST")
async def discard(request: HttpRequest, job_id: int) -> HttpResponseBase:
    return await _act(request, jobs.discard, job_id)


async def _act(request: HttpRequest, act: Callable[[int], None], job_id: int) -> HttpResponseBase:
    """Do it, and answer with everything that shows downloads. Why it could not be done is said in passing."""
    why = ""
    try:
        await sync_to_async(act)(job_id)
    except Conflict:
        pass  # it is as wanted already, or the lists tell how it is now
    except Busy:
        why = _too_many()
    except (StorageFailed, StorageFull, LoadFailed) as error:
        logger.warning("what job %d left behind could not be removed: %s", job_id, error)
        why = _("What it left behind could not be removed. The server's log says why.")
    if not is_htmx(request):
        return redirect("models:downloads")
    told = {"HX-Trigger": json.dumps({"llmsite:toast": why})} if why else {}
    return HttpResponse(await _board_now(), headers=told)


@sync_to_async
def _board_now() -> str:
    return whole_board(read_board())
