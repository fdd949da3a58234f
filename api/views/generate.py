"""POST /api/generate (catalogue 2.5)."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from api import streams
from api.endpoint import endpoint, queue_key
from api.requests import parse_generate
from api.responses import GenerateWriter
from llmsite import backend


@endpoint("POST")
async def generate(request: HttpRequest) -> HttpResponseBase:
    """Complete a prompt, load or unload a model."""
    asked, stream = parse_generate(request.body, settings.LLMSITE_LIMITS, queue_key(request))
    replies = backend.get_client().generate(asked)
    return await streams.answer(replies, GenerateWriter(asked.model), stream=stream)
