"""Bodies of pull and push: which model, and how (catalogue 2.16, 2.17). User name and password are ignored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from api.fields import Reader, read_anything, read_bool, read_object, read_string
from llmsite.types.errors import InvalidModelName, InvalidRequest
from llmsite.types.json_body import decode_body
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName, strip_source

_NAME_CHARS: Final = 600
_FIELDS: Final[dict[str, Reader]] = {
    "model": read_string,
    "name": read_string,
    "insecure": read_bool,
    "stream": read_bool,
    "username": read_anything,
    "password": read_anything,
}


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """`name` is the full name of a pull; of a push it is what was sent, since what is no name is told in the stream."""

    name: str
    insecure: bool = False
    stream: bool = True


def parse_pull(body: bytes, limits: Limits) -> TransferRequest:
    """The request of `POST /api/pull`. Raises `InvalidRequest`, `InvalidModelName`."""
    fields = read_object(decode_body(body, limits), "PullRequest", _FIELDS, "api.PullRequest")
    return _request(str(ModelName.parse(strip_source(_asked(fields)))), fields)


def parse_push(body: bytes, limits: Limits) -> TransferRequest:
    """The request of `POST /api/push`. Raises `InvalidRequest`, `InvalidModelName` for text longer than any name."""
    fields = read_object(decode_body(body, limits), "PushRequest", _FIELDS, "api.PushRequest")
    asked = _asked(fields)
    if not asked:
        raise InvalidRequest("model is required")
    if len(asked) > _NAME_CHARS:
        raise InvalidModelName("invalid model name")
    return _request(asked, fields)


def _asked(fields: dict[str, Any]) -> str:
    asked: str = fields.get("model") or fields.get("name") or ""
    return asked


def _request(name: str, fields: dict[str, Any]) -> TransferRequest:
    return TransferRequest(name, fields.get("insecure", False), fields.get("stream", True))
