"""POST /api/create (catalogue 2.18)."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from api import job_streams
from api.create_request import parse_create
from api.endpoint import endpoint
from llmsite.accounts.authorize import Principal
from llmsite.types.codec import to_builtins
from models_app import downloads, jobs


@endpoint("POST")
async def create(request: HttpRequest) -> HttpResponseBase:
    """Make a model. It is made by a job, which ends when the client leaves before it does."""
    asked, stream = parse_create(request.body, settings.LLMSITE_LIMITS)
    principal: Principal = request.principal  # type: ignore[attr-defined]
    user = principal.user
    job_id = await jobs.astart(
        "create",
        asked.model,
        to_builtins(asked) | {"is_restricted": downloads.is_restricted(user)},  # of a pull that it may take
        user_id=user.pk if user else None,
        leaves_with_watchers=True,
    )
    return await job_streams.answer(jobs.watch(job_id), stream=stream)
