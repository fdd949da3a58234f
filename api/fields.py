"""Readers of JSON values, one type each, and of objects by a table: a wrong type is a 400 that names the field in Go's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from llmsite.types.codec import go_json
from llmsite.types.errors import InvalidRequest

Reader = Callable[[Any, str], Any]
"""Checks one JSON value; the text names the field in errors. Raises `InvalidRequest`."""

_INT64: Final = 2**63


def read_string(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(value, field, "string")
    return value


def read_bool(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(value, field, "bool")
    return value


def read_int(value: Any, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise wrong_type(value, field, "int")
    return value


def read_anything(value: Any, field: str) -> Any:
    return value


def read_options(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(value, field, "map[string]interface {}")
    return value


def read_object(value: Any, field: str, readers: Mapping[str, Reader], go_target: str) -> dict[str, Any]:
    """The known, set fields of a JSON object by attribute name. `go_target` is what Go would have decoded into."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        into = go_target if go_target.startswith("struct field") else f"value of type {go_target}"
        raise InvalidRequest(f"json: cannot unmarshal {_go_kind(value)} into Go {into}")
    found: dict[str, Any] = {}
    for key, each in value.items():
        name = key if key in readers else key.lower()
        if name in readers and each is not None:
            found[name.lstrip("_")] = readers[name](each, f"{field}.{name}")
    return found


def wrong_type(value: Any, field: str, go_type: str) -> InvalidRequest:
    return InvalidRequest(f"json: cannot unmarshal {_go_kind(value)} into Go struct field {field} of type {go_type}")


def _go_kind(value: Any) -> str:
    """Go's word for what a JSON value is; a number that does not fit is named with its digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float):
        return f"number {go_json(value).decode()}" if abs(value) < 1e300 else "number"
    if isinstance(value, int):
        return "number" if -_INT64 <= value < _INT64 else f"number {value}"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
