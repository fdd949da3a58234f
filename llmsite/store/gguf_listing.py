"""All that a GGUF file says of itself, as JSON for `/api/show` (catalogue 2.15): key-values sorted by key, and tensors.

Runs inside the inspector's limited child, since a vocabulary has hundreds of thousands of texts. What comes out is put into an
answer as it is: nobody else needs to walk it.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from llmsite.store.gguf_header import GgufHeader, LongArray
from llmsite.types.codec import go_json

_UINT8: Final = 0
_SINGLE: Final = struct.Struct("<f")
_SINGLE_DIGITS: Final = range(6, 10)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class GgufListing:
    """JSON texts: an object of all key-values, and an array of `{name, type, shape}`."""

    metadata: msgspec.Raw
    tensors: msgspec.Raw


def list_header(header: GgufHeader, *, with_arrays: bool, hidden: Iterable[str] = ()) -> GgufListing:
    """Key-values but the `hidden` ones, the number of parameters among them, and tensors in the file's order.

    Arrays are null unless they are asked for. A model of 200,000 tokens then takes about 13 MB and half a second.
    """
    metadata = {key: _shown(value, with_arrays) for key, value in header.metadata.items() if key not in hidden}
    metadata["general.parameter_count"] = sum(tensor.num_elements for tensor in header.tensors)
    tensors = [{"name": each.name, "type": each.type, "shape": each.shape} for each in header.tensors]
    return GgufListing(msgspec.Raw(go_json(dict(sorted(metadata.items())))), msgspec.Raw(go_json(tensors)))


def _shown(value: Any, with_arrays: bool) -> Any:
    if isinstance(value, float):
        return _short(value)
    if not isinstance(value, LongArray | tuple):
        return value
    if len(value) and not with_arrays:
        return None
    if isinstance(value, LongArray) and value.kind == _UINT8:
        return base64.b64encode(bytes(value)).decode()  # as Go writes bytes
    return [_element(each) for each in value]


def _element(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return _short(value) if isinstance(value, float) else value


def _short(value: float) -> Any:
    """A 32-bit float, which nearly all are, in as few digits as tell it from other 32-bit floats."""
    if value.is_integer() and abs(value) < 1e15:
        return int(value)
    try:
        if _SINGLE.unpack(_SINGLE.pack(value))[0] != value:
            return value
        shorter = (float(f"{value:.{digits}g}") for digits in _SINGLE_DIGITS)
        return next(each for each in shorter if _SINGLE.unpack(_SINGLE.pack(each))[0] == value)
    except (OverflowError, StopIteration):  # beyond 32 bits, or not a number
        return value
