"""How often a key or an address may ask the REST API in a minute, counted in this process. Pages have their own limits.

Not for callers of this machine (threats-and-faults (a), rule 4): rates switch on with the first listener beyond loopback.
"""

from __future__ import annotations

import math
import time
from typing import Final

from django.conf import settings
from django.http import HttpRequest

from llmsite.accounts.authorize import Principal
from llmsite.accounts.trust import Trust

_MINUTE: Final = 60.0
_MOST_REMEMBERED: Final = 10_000


class RateLimiter:
    """Lets a minute's worth of requests come at once, and spaces what follows."""

    def __init__(self) -> None:
        self._booked_until: dict[str, float] = {}

    def take(self, who: str, per_minute: int, now: float) -> float:
        """Count a request of `who`. 0 when it is allowed, else the seconds until the next one will be; then it is not counted."""
        booked = max(now, self._booked_until.get(who, now)) + _MINUTE / per_minute
        if booked > now + _MINUTE + 1e-6:
            return booked - now - _MINUTE
        if len(self._booked_until) >= _MOST_REMEMBERED:
            self._booked_until = {each: until for each, until in self._booked_until.items() if until > now}
        self._booked_until[who] = booked
        return 0.0


_limiter: Final = RateLimiter()


def seconds_to_wait(request: HttpRequest, principal: Principal | None) -> int:
    """Whole seconds until this caller may ask the REST API again, 0 when now. `principal` is None for a key that is not good.

    Not counted: people who are signed in, and the registry, which hands out a large model in thousands of requests.
    """
    trust: Trust | None = getattr(request, "scope", {}).get("trust")
    if trust is None or trust.is_loopback or (principal and (principal.is_person or request.path.startswith("/v2/"))):
        return 0
    limits = settings.LLMSITE_LIMITS
    if principal and principal.key_id is not None:
        wait = _limiter.take(f"key {principal.key_id}", limits.requests_per_key_minute, time.monotonic())
    else:
        wait = _limiter.take(request.META.get("REMOTE_ADDR", ""), limits.requests_per_address_minute, time.monotonic())
    return math.ceil(wait)
