"""Which models are installed and which are loaded: GET /api/tags and /api/ps (catalogue 2.13, 2.14)."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponseBase

from api.endpoint import endpoint, json_response
from api.responses import running_model
from llmsite import backend


@endpoint("GET")
async def ps(request: HttpRequest) -> HttpResponseBase:
    """Loaded models, latest expiry first."""
    running = await backend.get_client().ps()
    now = time.time()
    return json_response({"models": [running_model(each, now) for each in running.models]})
