"""Installed models: tags, ps, show, copy, delete (catalogue 2.13 to 2.15, 2.19)."""

from __future__ import annotations

import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from api.endpoint import empty_response, endpoint, json_response
from api.errors import JSON
from api.model_requests import parse_copy, parse_delete, parse_show
from api.responses import installed_model, running_model
from api.show_response import show_response
from llmsite import backend
from llmsite.types.errors import ModelNotFound
from models_app import services


@endpoint("GET", "HEAD")
async def tags(request: HttpRequest) -> HttpResponseBase:
    """Installed models, most recently modified first."""
    models = b",".join([installed_model(each) for each in await services.list_models()])
    return HttpResponse(b'{"models":[' + models + b"]}", content_type=JSON)


@endpoint("GET")
async def ps(request: HttpRequest) -> HttpResponseBase:
    """Loaded models, latest expiry first."""
    running = await backend.get_client().ps()
    now = time.time()
    return json_response({"models": [running_model(each, now) for each in running.models]})


@endpoint("POST")
async def show(request: HttpRequest) -> HttpResponseBase:
    """Everything about one model."""
    asked = parse_show(request.body, settings.LLMSITE_LIMITS)
    shown = await services.show_model(asked.name, is_verbose=asked.is_verbose, system=asked.system, options=asked.options)
    return show_response(shown, asked.asked_as, request.headers.get("User-Agent", ""))


@endpoint("POST")
async def copy(request: HttpRequest) -> HttpResponseBase:
    """A second name for a model."""
    asked = parse_copy(request.body, settings.LLMSITE_LIMITS)
    try:
        await services.copy_model(asked.source, asked.target)
    except ModelNotFound as error:
        raise ModelNotFound(f'model "{asked.asked_as}" not found') from error
    return empty_response(200)


@endpoint("DELETE")
async def delete(request: HttpRequest) -> HttpResponseBase:
    """Remove a model; what it is writing now goes on to its end."""
    asked = parse_delete(request.body, settings.LLMSITE_LIMITS)
    try:
        await services.delete_model(asked.name)
    except ModelNotFound as error:
        raise ModelNotFound(f"model '{asked.asked_as}' not found") from error
    return empty_response(200)
