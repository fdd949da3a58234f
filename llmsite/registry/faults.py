"""What goes wrong between us and a registry: faults that another try may cure, and words of strangers made fit to be shown."""

from __future__ import annotations

import http.client
import ssl
from typing import Final

from llmsite.types.errors import RegistryError
from llmsite.types.limits import Limits

RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another try may cure."""
_GO_REASONS: Final[dict[type[OSError], str]] = {
    ConnectionRefusedError: "connect: connection refused",
    ConnectionResetError: "read: connection reset by peer",
    BrokenPipeError: "write: broken pipe",
}


class TransferFault(RegistryError):
    """A try failed and the next one may not. `wait_seconds`: what the registry asked us to wait, if it did."""

    def __init__(self, text: str, wait_seconds: float | None = None) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds


class RangesIgnored(TransferFault):
    """The registry sends whole files only: what is to be read has to be read from the start."""


def asked_seconds(retry_after: str) -> float | None:
    """Seconds that a `Retry-After` asks us to wait; a date counts as no wish."""
    text = retry_after.strip()
    return float(text) if text.isascii() and text.isdigit() else None


def reason(error: Exception) -> str:
    """A network error in the words of Go's library, which clients of Ollama know."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
            return "tls: first record does not look like a TLS handshake"
        return f"tls: {error.reason or 'handshake failed'}"
    if isinstance(error, TimeoutError):
        return str(error) or "i/o timeout"
    if isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead):
        return "EOF"
    if isinstance(error, http.client.HTTPException):
        return f"malformed HTTP response: {type(error).__name__}"
    for kind, text in _GO_REASONS.items():
        if isinstance(error, kind):
            return text
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def shown(words: bytes | str, limits: Limits) -> str:
    """At most 200 printable characters of what a registry wrote or where it sends us (threat T70), on one line."""
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    line = " ".join(text[: limits.registry_error_chars * 8].split())
    return "".join(each for each in line if each.isprintable())[: limits.registry_error_chars]
