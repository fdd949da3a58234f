"""Which models are installed and which are loaded: GET /api/tags and /api/ps (catalogue 2.13, 2.14)."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponseBase

from api.endpoint import endpoint, json_response
from api.responses import installed_model, running_model
from llmsite import backend
from models_app import services


@endpoint("GET", "HEAD")
async def tags(request: HttpRequest) -> HttpResponseBase:
    """Installed models, most recently modified first."""
    return json_response({"models": [installed_model(each) for each in await services.list_models()]})


@endpoint("GET")
async def ps(request: HttpRequest) -> HttpResponseBase:
    """Loaded models, latest expiry first."""
    running = await backend.get_client().ps()
    now = time.time()
    return json_response({"models": [running_model(each, now) for each in running.models]})
