"""Dataclass to JSON-ready value and back, for every wire; and JSON bytes exactly as Go writes them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

_HTML: Final = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))
_LINES: Final = (("\u2028".encode(), b"\\u2028"), ("\u2029".encode(), b"\\u2029"))
_encoder = msgspec.json.Encoder()


def to_builtins(value: Any) -> Any:
    """A dataclass as dicts, lists and scalars; field names stay as they are."""
    return msgspec.to_builtins(value)


def from_builtins(value: Any, kind: type[T]) -> T:
    """The dataclass again. Raises `msgspec.ValidationError` naming the field."""
    return msgspec.convert(value, kind)


def go_json(value: Any, *, escapes_html: bool = True) -> bytes:
    """Compact JSON with Go's escapes (`<`, `>`, `&`, U+2028, U+2029) and Go's numbers. Key order is kept.

    Source: encoding/json. The escaped characters occur only inside strings, so the bytes can be replaced after encoding.
    """
    encoded = _encoder.encode(_with_go_floats(value))
    for plain, escaped in _HTML * escapes_html + _LINES:
        if plain in encoded:
            encoded = encoded.replace(plain, escaped)
    return encoded


def _with_go_floats(value: Any) -> Any:
    if isinstance(value, float):
        return _go_float(value)
    if isinstance(value, dict):
        return {key: _with_go_floats(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_go_floats(each) for each in value]
    return value


def _go_float(value: float) -> Any:
    """Go prints plain decimals from 1e-6 to below 1e21, exponents without a leading zero beyond. What JSON cannot say is null."""
    if not math.isfinite(value):
        return None
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f")
    else:
        mantissa, _, exponent = repr(value).partition("e")
        text = f"{mantissa.removesuffix('.0')}e{int(exponent):+d}"
    return msgspec.Raw(text.removesuffix(".0").encode())
