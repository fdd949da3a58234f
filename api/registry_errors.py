"""Errors as registries write them: `{"errors":[{"code","message"}]}`. The status is that of `api/errors.py`, the code is here."""

from __future__ import annotations

from typing import Final

from django.http import HttpResponse

from api.errors import JSON, status_of
from llmsite.accounts.refusals import registry_error
from llmsite.types import errors

_CODES: Final[dict[type[errors.LlmsiteError], str]] = {
    errors.InvalidModelName: "NAME_INVALID",
    errors.InvalidDigest: "DIGEST_INVALID",
    errors.InvalidModelFile: "MANIFEST_INVALID",
    errors.InvalidRequest: "BLOB_UPLOAD_INVALID",
    errors.Forbidden: "DENIED",
    errors.Unauthorized: "UNAUTHORIZED",
    errors.ModelNotFound: "MANIFEST_UNKNOWN",
    errors.NotFound: "BLOB_UNKNOWN",
    errors.RequestTooLarge: "SIZE_INVALID",
    errors.Busy: "TOOMANYREQUESTS",
}
"""Subclasses share the code of their nearest ancestor here."""


def refusal(status: int, code: str, text: str) -> HttpResponse:
    """One refusal in the registry's form."""
    return HttpResponse(registry_error(status, text, code), status=status, content_type=JSON)


def error_response(error: errors.LlmsiteError) -> HttpResponse:
    """The answer to a request that failed before anything was sent."""
    code = next((_CODES[each] for each in type(error).__mro__ if each in _CODES), "UNKNOWN")
    return refusal(status_of(error), code, str(error))
