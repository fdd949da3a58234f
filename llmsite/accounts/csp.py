"""Headers that keep a browser on our side (threat T45), the content security policy of ui-spec 1 among them."""

from __future__ import annotations

import secrets
from typing import Final

_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    # not no-referrer: browsers would then send `Origin: null` with our own forms, and `null` is never allowed
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def make_nonce() -> str:
    """A fresh nonce: 128 bits as text that needs no quoting."""
    return secrets.token_urlsafe(16)


def headers_for(content_type: str, nonce: str) -> dict[str, str]:
    """Headers of a response with this content type. The policy is for documents; REST answers keep their headers short."""
    if not content_type.startswith("text/html"):
        return {"X-Content-Type-Options": "nosniff"}
    return {**_ALWAYS, "Content-Security-Policy": _POLICY.format(nonce=nonce)}
