"""POST /api/chat (catalogue 2.6)."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from api import streams
from api.endpoint import endpoint, queue_key
from api.requests import parse_chat
from api.responses import ChatWriter
from llmsite import backend


@endpoint("POST")
async def chat(request: HttpRequest) -> HttpResponseBase:
    """Answer a conversation, load or unload a model."""
    asked, stream = parse_chat(request.body, settings.LLMSITE_LIMITS, queue_key(request))
    replies = backend.get_client().chat(asked)
    return await streams.answer(replies, ChatWriter(asked.model), stream=stream)
