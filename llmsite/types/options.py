"""Every generation and load option once: name, type, default, and whether a change reloads the model (catalogue 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from llmsite.types.errors import InvalidOption, InvalidRequest
from llmsite.types.limits import Limits

Kind = Literal["load", "run"]


def _option(default: Any, kind: Kind, go_type: str, low: float = -math.inf, high: float = math.inf) -> Any:
    """One option: `go_type` is the word in Ollama's error text; values outside low..high are refused."""
    metadata = {"kind": kind, "go_type": go_type, "low": low, "high": high}
    if default == ():
        return field(default_factory=tuple, metadata=metadata)
    return field(default=default, metadata=metadata)


_INT32: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Options:
    """What a request, a Modelfile's PARAMETER lines and the defaults add up to. None means automatic.

    Sizes are tokens. `seed` < 0 draws one; `num_predict` < 0 has no limit, `num_keep` < 0 keeps the whole prompt;
    `num_gpu` < 0 places layers automatically; `num_thread` 0 is automatic.
    """

    num_ctx: int | None = _option(None, "load", "integer", 0, _INT32)
    num_batch: int | None = _option(None, "load", "integer", 1, 1 << 20)
    num_gpu: int = _option(-1, "load", "integer", -_INT32, _INT32)
    main_gpu: int | None = _option(None, "load", "integer", 0, 1023)
    use_mmap: bool | None = _option(None, "load", "boolean")
    num_thread: int = _option(0, "load", "integer", 0, 4096)
    draft_num_predict: int | None = _option(None, "load", "integer", 0, 1024)
    num_keep: int = _option(4, "run", "integer", -_INT32, _INT32)
    seed: int = _option(-1, "run", "integer", -(2**63), 2**63 - 1)
    num_predict: int = _option(-1, "run", "integer", -_INT32, _INT32)
    top_k: int = _option(40, "run", "integer", -_INT32, _INT32)
    top_p: float = _option(0.9, "run", "float32", -1e9, 1e9)
    min_p: float = _option(0.0, "run", "float32", -1e9, 1e9)
    typical_p: float = _option(1.0, "run", "float32", -1e9, 1e9)
    repeat_last_n: int = _option(64, "run", "integer", -1, _INT32)
    temperature: float = _option(0.8, "run", "float32", -1e9, 1e9)
    repeat_penalty: float = _option(1.0, "run", "float32", -1e9, 1e9)
    presence_penalty: float = _option(0.0, "run", "float32", -1e9, 1e9)
    frequency_penalty: float = _option(0.0, "run", "float32", -1e9, 1e9)
    stop: tuple[str, ...] = _option((), "run", "array")

    @classmethod
    def merge(cls, *layers: Mapping[str, Any], limits: Limits | None = None) -> Options:
        """Options from JSON objects, weakest first, merged key by key; unknown keys and nulls are ignored.

        Integers may be JSON floats (cut off), floats may be integers, strings are never converted.
        Raises `InvalidOption` for a wrong JSON type, `InvalidRequest` for a value no machine could honour.
        """
        merged: dict[str, Any] = {}
        for layer in layers:
            for name, value in layer.items():
                if name in _FIELDS and value is not None:
                    merged[name] = _convert(name, value, limits or Limits())
        return cls(**merged)


_FIELDS: Final = {each.name: each for each in fields(Options)}
LOAD_OPTIONS: Final = tuple(name for name, each in _FIELDS.items() if each.metadata["kind"] == "load")
OPTION_NAMES: Final = tuple(_FIELDS)


def option_type(name: str) -> str:
    """Go's word for the type of an option: integer, float32, boolean or array. Raises KeyError for an unknown one."""
    return str(_FIELDS[name].metadata["go_type"])


def _convert(name: str, value: Any, limits: Limits) -> Any:
    go_type = option_type(name)
    if go_type == "boolean":
        if not isinstance(value, bool):
            raise _wrong_type(name, "boolean")
        return value
    if go_type == "array":
        return _convert_stop(name, value, limits)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, go_type)
    low, high = _FIELDS[name].metadata["low"], _FIELDS[name].metadata["high"]
    if not low <= value <= high:  # also refuses NaN
        raise InvalidRequest(f'option "{name}" must be between {low:g} and {high:g}')
    return int(value) if go_type == "integer" else float(value)


def _convert_stop(name: str, value: Any, limits: Limits) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong_type(name, "array")
    if not all(isinstance(each, str) for each in value):
        raise _wrong_type(name, "of an array of strings", of_type="")
    if len(value) > limits.stop_strings:
        raise InvalidRequest(f'option "{name}" takes at most {limits.stop_strings} strings')
    if any(len(each) > limits.stop_string_chars for each in value):
        raise InvalidRequest(f'a string of option "{name}" has at most {limits.stop_string_chars} characters')
    return tuple(each for each in value if each)


def _wrong_type(name: str, go_type: str, of_type: str = "of type ") -> InvalidOption:
    return InvalidOption(f'option "{name}" must be {of_type}{go_type}')
