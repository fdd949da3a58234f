"""The body of POST /api/create to a `CreateRequest` (catalogue 2.18). What needs no look at the store is refused here.

There is no key `modelfile`: clients read Modelfiles themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from api.fields import Reader, read_bool, read_object, read_options, read_string, wrong_type
from api.requests import read_messages
from llmsite.store.digest import parse_digest
from llmsite.types.errors import Forbidden, InvalidRequest
from llmsite.types.json_body import decode_body
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName
from llmsite.types.request import CreateRequest

_STRING_MAP: Final = "map[string]string"
_LARGEST_FLOAT: Final = sys.float_info.max
_LARGEST_COUNT: Final = 2**63 - 1


def parse_create(body: bytes, limits: Limits) -> tuple[CreateRequest, bool]:
    """The request, and whether to stream. Raises `InvalidRequest`, `InvalidModelName`, `InvalidDigest`, `Forbidden`.

    The order of refusals is Ollama's: paths, digests, the name; what its job would find comes after them.
    """
    fields = read_object(decode_body(body, limits), "CreateRequest", _CREATE, "api.CreateRequest")
    stream = fields.pop("stream", True)
    for key in ("files", "adapters", "draft_files"):
        if key in fields:
            fields[key] = _checked_files(fields[key])
    model = fields.pop("name", "")
    model = fields.pop("model", "") or model
    ModelName.parse(model)
    quantization = fields.pop("quantization", "")
    fields["quantize"] = fields.pop("quantize", "") or quantization
    _refuse_remote(fields.pop("remote_host", ""), fields)
    if fields.get("draft_quantize") and not fields.get("draft_files"):
        raise InvalidRequest("--draft-quantize requires a DRAFT model")
    if len(fields.get("messages", ())) > limits.messages:
        raise InvalidRequest(f"a model has at most {limits.messages} messages")
    return CreateRequest(model=model, source=fields.pop("from", ""), licenses=fields.pop("license", ()), **fields), stream


def _checked_files(files: Mapping[str, str]) -> dict[str, str]:
    """The same files, every path relative and every digest one; before anything looks at the disk (threats T01, T03)."""
    for path in files:
        if not is_relative(path):
            raise InvalidRequest("file path must be relative")
    return {path: parse_digest(digest) for path, digest in files.items()}


def is_relative(path: str) -> bool:
    """Whether Go's fs.ValidPath takes it: names between single slashes, none of them empty, `.` or `..`; `.` alone is one."""
    return path == "." or all(part not in ("", ".", "..") for part in path.split("/"))


def _refuse_remote(host: str, fields: Mapping[str, Any]) -> None:
    """A model that runs in Ollama's cloud: there is none here (catalogue 17)."""
    if not host:
        return
    if fields.get("draft_files"):
        raise InvalidRequest("DRAFT cannot be used with remote models")
    if not _has_host(host):
        raise InvalidRequest("bad remote")
    raise Forbidden("ollama cloud is disabled: remote model is unavailable")


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url if "://" in url else f"https://{url}").hostname)
    except ValueError:
        return False


# readers: one JSON type each


def _read_files(value: Any, field: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise wrong_type(value, field, _STRING_MAP)
    return {path: "" if digest is None else read_string(digest, field) for path, digest in value.items()}


def _read_licenses(value: Any, field: str) -> tuple[str, ...]:
    """One text or a list of them."""
    if isinstance(value, str):
        return (value,) if value else ()
    if not isinstance(value, list):
        raise wrong_type(value, field, "[]string")
    return tuple(read_string(each, field) for each in value if each is not None)


def _read_parameters(value: Any, field: str) -> dict[str, Any]:
    """Values of any kind, unchecked, as Ollama takes them; but no number that its 64-bit floats cannot hold."""
    waiting: list[Any] = list(read_options(value, field).values())
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, int | float) and not abs(each) <= _LARGEST_FLOAT:
            raise wrong_type(each, field, "float64")
    return dict(value)


_INFO_TEXTS: Final = ("model_family", "base_name", "quantization_level", "parameter_size")
_INFO_COUNTS: Final = ("context_length", "embedding_length")


def _read_info(value: Any, field: str) -> dict[str, Any]:
    """The keys that mean something, each of its type; of the capabilities, those that are texts."""
    given = {key: each for key, each in read_options(value, field).items() if each is not None}
    info: dict[str, Any] = {}
    for key in _INFO_TEXTS:
        if key in given:
            info[key] = _info_text(key, given[key])
    for key in _INFO_COUNTS:
        if key in given:
            info[key] = _info_count(key, given[key])
    capabilities = given.get("capabilities")
    if isinstance(capabilities, list):
        info["capabilities"] = [each for each in capabilities if isinstance(each, str)]
    return info


def _info_text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f'info field "{key}" must be a string')
    return value


def _info_count(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f'info field "{key}" must be a number')
    if not 0 <= value <= _LARGEST_COUNT or value != int(value):
        raise InvalidRequest(f'info field "{key}" must be a non-negative integer')
    return int(value)


_CREATE: Final[dict[str, Reader]] = {
    "model": read_string,
    "name": read_string,
    "stream": read_bool,
    "from": read_string,
    "remote_host": read_string,
    "files": _read_files,
    "adapters": _read_files,
    "draft_files": _read_files,
    "quantize": read_string,
    "quantization": read_string,
    "draft_quantize": read_string,
    "template": read_string,
    "license": _read_licenses,
    "system": read_string,
    "parameters": _read_parameters,
    "messages": read_messages,
    "renderer": read_string,
    "parser": read_string,
    "requires": read_string,
    "info": _read_info,
}
