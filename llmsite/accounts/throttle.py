"""How often somebody may try a password: per account through django-axes, per address on top of its rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max, Sum
from django.http import HttpRequest
from django.utils import timezone

ADDRESS_FACTOR: Final = 5
"""An address may fail this many times as often as an account: people share addresses."""


def seconds_locked_for_account(username: str) -> int:
    """Seconds until this account may try again, 0 when it may now."""
    return _seconds_left(username=username, tries=settings.AXES_FAILURE_LIMIT)


def seconds_locked_for_address(request: HttpRequest) -> int:
    """Seconds until this address may try again, 0 when it may now."""
    return _seconds_left(ip_address=request.META.get("REMOTE_ADDR"), tries=settings.AXES_FAILURE_LIMIT * ADDRESS_FACTOR)


def _seconds_left(*, tries: int, **who: str | None) -> int:
    period: timedelta = settings.AXES_COOLOFF_TIME
    now = timezone.now()
    recent = AccessAttempt.objects.filter(attempt_time__gt=now - period, **who)
    found = recent.aggregate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
    if (found["failures"] or 0) < tries:
        return 0
    last: datetime = found["last"]
    return max(1, round((last + period - now).total_seconds()))
