"""Pulls and pushes for those who ask for them: REST and pages."""

from __future__ import annotations

from typing import Literal

from django.conf import settings

from llmsite.accounts.models import User
from models_app import jobs


async def start(
    kind: Literal["pull", "push"], name: str, *, insecure: bool, user: User | None, leaves_with_watchers: bool = False
) -> int:
    """Start a transfer, or join the one that runs already; returns the job's id. Raises `Busy`."""
    return await jobs.astart(
        kind,
        name,
        {"insecure": insecure, "is_restricted": is_restricted(user)},
        user_id=user.pk if user else None,
        leaves_with_watchers=leaves_with_watchers,
    )


def is_restricted(user: User | None) -> bool:
    """Whether this person may not name any registry: beyond loopback only administrators may (trust model, rule 8)."""
    return not settings.LLMSITE_TRUST.is_loopback and (user is None or not user.is_admin)
