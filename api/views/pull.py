"""POST /api/pull and /api/push (catalogue 2.16, 2.17): jobs of the worker, told as they go.

When the last client that waits for such a job leaves, it is cancelled; what has come of a pull stays for the next one.
"""

from __future__ import annotations

from typing import Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from api import job_streams
from api.endpoint import endpoint
from api.transfer_requests import TransferRequest, parse_pull, parse_push
from llmsite.accounts.authorize import Principal
from models_app import downloads, jobs


@endpoint("POST")
async def pull(request: HttpRequest) -> HttpResponseBase:
    """Install a model from a registry."""
    return await _answer(request, "pull", parse_pull(request.body, settings.LLMSITE_LIMITS))


@endpoint("POST")
async def push(request: HttpRequest) -> HttpResponseBase:
    """Send an installed model to a registry."""
    return await _answer(request, "push", parse_push(request.body, settings.LLMSITE_LIMITS))


async def _answer(request: HttpRequest, kind: Literal["pull", "push"], asked: TransferRequest) -> HttpResponseBase:
    principal: Principal = request.principal  # type: ignore[attr-defined]
    job_id = await downloads.start(kind, asked.name, insecure=asked.insecure, user=principal.user, leaves_with_watchers=True)
    return await job_streams.answer(jobs.watch(job_id), stream=asked.stream)
