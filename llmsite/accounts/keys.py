"""API keys: made, found and ended here. A key is shown once; what is stored is its beginning and a hash.

The middleware asks `find_key` for whatever claims to be a key. What a key may do stands in `authorize.py`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from llmsite.accounts.authorize import SCOPES
from llmsite.accounts.models import ApiKey, User, hash_token
from llmsite.types.errors import InvalidRequest, NotFound

KEY_PREFIX: Final = "llmsite_"
"""Every API key of ours begins so; other bearer values are placeholders that clients send."""
DEFAULT_SCOPES: Final = ("models:read", "infer")

_SHOWN_CHARS: Final = len(KEY_PREFIX) + 8
_KEY: Final = re.compile(KEY_PREFIX + r"[A-Za-z0-9_-]{43}")
_NOTE_USE_SECONDS: Final = 60
"""`last_used_at` is that exact: a key in steady use costs a write a minute, not one a request."""


def issue_key(user: User, *, name: str = "", scopes: Iterable[str] = DEFAULT_SCOPES, expires_at: datetime | None = None) -> str:
    """A new key of this person; the only time that it can be read. Raises `InvalidRequest`."""
    wanted = tuple(dict.fromkeys(scopes))
    if unknown := [each for each in wanted if each not in SCOPES]:
        raise InvalidRequest(f'unknown scope "{unknown[0]}": the scopes are {", ".join(SCOPES)}')
    if not wanted:
        raise InvalidRequest(f"a key needs a scope: {', '.join(SCOPES)}")
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest("a key has to expire in the future")
    most = settings.LLMSITE_LIMITS.keys_per_user
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if user.keys.count() >= most:
            raise InvalidRequest(f"{user.username} has {most} keys already; remove one first")
        ApiKey.objects.create(
            user=user,
            name=name,
            prefix=key[:_SHOWN_CHARS],
            key_hash=hash_token(key),
            scopes=list(wanted),
            expires_at=expires_at,
        )
    return key


def list_keys(username: str = "") -> QuerySet[ApiKey]:
    """Keys of one person, or of everybody, oldest first."""
    owned = ApiKey.objects.filter(user__username=username) if username else ApiKey.objects.all()
    return owned.select_related("user").order_by("user__username", "pk")


def remove_key(prefix: str) -> ApiKey:
    """End the one key that begins so; from the next request on it is worth nothing. Raises `NotFound`, `InvalidRequest`."""
    begin = prefix if prefix.startswith(KEY_PREFIX) else KEY_PREFIX + prefix
    found = list(ApiKey.objects.filter(prefix__startswith=begin[:_SHOWN_CHARS]).select_related("user")[:2])
    if not found:
        raise NotFound(f'no key begins with "{begin[:_SHOWN_CHARS]}"')
    if len(found) > 1:
        raise InvalidRequest(f'several keys begin with "{begin}"; give more of the one you mean')
    found[0].delete()
    return found[0]


def find_key(token: str) -> ApiKey | None:
    """The living key with this text, its owner loaded: rows are chosen by the part that is no secret, and hashes compared in
    constant time. None for an unknown, ended or expired key and for one of an owner who may not sign in now."""
    if _KEY.fullmatch(token) is None:
        return None
    now, wanted = timezone.now(), hash_token(token)
    living = ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), prefix=token[:_SHOWN_CHARS])
    found = next((key for key in living.select_related("user") if secrets.compare_digest(key.key_hash, wanted)), None)
    if found is None or not found.user.can_sign_in:
        return None
    if found.last_used_at is None or now - found.last_used_at > timedelta(seconds=_NOTE_USE_SECONDS):
        ApiKey.objects.filter(pk=found.pk).update(last_used_at=now)
    return found
