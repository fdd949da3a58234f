"""Exception class to status and body: one table (catalogue 2.2, 2.3). What is not in it is a fault of ours."""

from __future__ import annotations

import logging
import secrets
from typing import Final

from django.http import HttpResponse

from llmsite.types import errors
from llmsite.types.codec import go_json

JSON: Final = "application/json; charset=utf-8"
PLAIN_JSON: Final = "application/json"
"""What Ollama sends when an error comes out of a job that already runs."""

STATUSES: Final[dict[type[errors.LlmsiteError], int]] = {
    errors.InvalidRequest: 400,
    errors.InvalidOption: 500,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.RequestTooLarge: 413,
    errors.Canceled: 499,
    errors.EngineError: 500,
    errors.RegistryError: 500,
    errors.Busy: 503,
    errors.NotEnoughMemory: 503,
    errors.StorageFailed: 500,
    errors.StorageFull: 507,
}
"""Subclasses share the status of their nearest ancestor here."""

_GO_TEMPLATE_ERROR: Final = "template: "

_log = logging.getLogger(__name__)


def status_of(error: errors.LlmsiteError) -> int:
    """The HTTP status. A Go template of a request that does not parse is Ollama's 500 (catalogue 2.3); our limits are 400."""
    if isinstance(error, errors.TemplateError) and str(error).startswith(_GO_TEMPLATE_ERROR):
        return 500
    for each in type(error).__mro__:
        if each in STATUSES:
            return STATUSES[each]
    return 500


def body_of(error: errors.LlmsiteError | str) -> bytes:
    """`{"error": …}` without a newline."""
    return go_json({"error": str(error)})


def error_response(error: errors.LlmsiteError, content_type: str = JSON) -> HttpResponse:
    """The answer to a request that failed before anything was sent."""
    return HttpResponse(body_of(error), status=status_of(error), content_type=content_type)


def internal_error(error: BaseException) -> errors.EngineError:
    """Log what should not have happened and make the sentence that leads to the log line; nothing of it reaches the caller."""
    number = secrets.token_hex(4)
    _log.error("internal error %s", number, exc_info=error)
    return errors.EngineError(f"internal error (id {number})")
