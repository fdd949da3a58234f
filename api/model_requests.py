"""Bodies of show, copy and delete: the names in them, with each route's own texts for what is no name (catalogue 2.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from api.fields import Reader, read_anything, read_bool, read_object, read_options, read_string
from llmsite.types.errors import InvalidModelName, InvalidRequest
from llmsite.types.gotext import go_quote
from llmsite.types.json_body import decode_body
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName, strip_source


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """`system` and `options` are laid over those of the model where its Modelfile is told."""

    name: ModelName
    asked_as: str
    is_verbose: bool = False
    system: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CopyRequest:
    source: ModelName
    target: ModelName
    asked_as: str


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    name: ModelName
    asked_as: str


_NAMED: Final[dict[str, Reader]] = {"model": read_string, "name": read_string}
_SHOW: Final[dict[str, Reader]] = _NAMED | {
    "system": read_string,
    "template": read_anything,
    "verbose": read_bool,
    "options": read_options,
}
_COPY: Final[dict[str, Reader]] = {"source": read_string, "destination": read_string}


def parse_show(body: bytes, limits: Limits) -> ShowRequest:
    """The request of `POST /api/show` (catalogue 2.15). Raises `InvalidRequest`, `InvalidModelName`."""
    fields = read_object(decode_body(body, limits), "ShowRequest", _SHOW, "api.ShowRequest")
    asked = _required_name(fields)
    return ShowRequest(
        name=ModelName.parse(strip_source(asked)),
        asked_as=asked,
        is_verbose=fields.get("verbose", False),
        system=fields.get("system", ""),
        options=fields.get("options", {}),
    )


def parse_copy(body: bytes, limits: Limits) -> CopyRequest:
    """The request of `POST /api/copy` (catalogue 2.19). Raises `InvalidRequest`, `InvalidModelName`."""
    fields = read_object(decode_body(body, limits), "CopyRequest", _COPY, "api.CopyRequest")
    names = {key: _parsed(fields.get(key, ""), key) for key in _COPY}
    return CopyRequest(names["source"], names["destination"], fields["source"])


def parse_delete(body: bytes, limits: Limits) -> DeleteRequest:
    """The request of `DELETE /api/delete` (catalogue 2.19). Raises `InvalidRequest`, `InvalidModelName`."""
    asked = _required_name(read_object(decode_body(body, limits), "DeleteRequest", _NAMED, "api.DeleteRequest"))
    return DeleteRequest(_parsed(strip_source(asked), "name", asked), asked)


def _required_name(fields: dict[str, Any]) -> str:
    """The name as sent; `name` is what the key was called once."""
    asked: str = fields.get("model") or fields.get("name") or ""
    if not asked.strip():
        raise InvalidRequest("model is required")
    return asked


def _parsed(text: str, what: str, asked: str = "") -> ModelName:
    name = ModelName.parse_loosely(text)
    if not name.is_valid:
        raise InvalidModelName(f"{what} {go_quote(asked or text)} is invalid")
    return name
