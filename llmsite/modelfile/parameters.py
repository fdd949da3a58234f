"""Values of PARAMETER lines and of `/set parameter`: from text to what a request takes (catalogue 3, "From text")."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from llmsite.modelfile.parser import Command, ModelfileError, near
from llmsite.types.errors import InvalidRequest
from llmsite.types.options import OPTION_NAMES, option_type

DEPRECATED: Final = frozenset(
    (
        "penalize_newline",
        "low_vram",
        "f16_kv",
        "logits_all",
        "vocab_only",
        "use_mlock",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
    )
)
"""Parameters that Modelfiles may still hold and nothing reads."""

_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d+", re.ASCII)
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INT64: Final = 2**63


def read_parameter(name: str, values: list[str]) -> Any:
    """The value of one parameter: the first text, or all of them for a list.

    Raises `InvalidRequest` with Ollama's text, which prints the texts as a bracketed list.
    """
    if name not in OPTION_NAMES:
        raise InvalidRequest(f"unknown parameter '{name}'")
    word = option_type(name)
    if word == "array":
        return list(values)
    kind, read = _READERS[word]
    try:
        return read(values[0])
    except ValueError as error:
        raise InvalidRequest(f"invalid {kind} value [{' '.join(values)}]") from error


def read_parameters(commands: Iterable[Command]) -> dict[str, Any]:
    """The parameters of a Modelfile: lists grow, of anything else the last one counts; deprecated ones are left out.

    Raises `ModelfileError` with the place of the line.
    """
    parameters: dict[str, Any] = {}
    for command in commands:
        if command.name != "parameter" or command.key in DEPRECATED:
            continue
        value = _read_line(command)
        before = parameters.get(command.key)
        parameters[command.key] = [*before, *value] if isinstance(before, list) else value
    return parameters


def _read_line(command: Command) -> Any:
    try:
        return read_parameter(command.key, [command.args])
    except InvalidRequest as error:
        hint = "" if command.key in OPTION_NAMES else near(command.key, OPTION_NAMES)
        raise ModelfileError(str(error), command.line, command.column, hint) from error


def _read_float(text: str) -> float | int:
    """Go reads these with 32 bits and prints the shortest number that means the same."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal number")
    return _shortest(float(text))


def _shortest(number: float) -> float | int:
    bits = _bits(number)
    if bits is None:
        raise ValueError("out of range")
    found = next(value for value in (float(f"{number:.{digits}g}") for digits in range(1, 18)) if _bits(value) == bits)
    return int(found) if found.is_integer() and abs(found) < _INT64 else found


def _bits(number: float) -> bytes | None:
    """The number in 32 bits; None when it is too large for them."""
    try:
        return struct.pack("<f", number)
    except OverflowError:
        return None


def _read_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -_INT64 <= (number := int(text)) < _INT64:
        raise ValueError("not a whole number of 64 bits")
    return number


def _read_boolean(text: str) -> bool:
    if text not in _TRUE and text not in _FALSE:
        raise ValueError("not a boolean")
    return text in _TRUE


_READERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "integer": ("int", _read_integer),
    "float32": ("float", _read_float),
    "boolean": ("bool", _read_boolean),
}
"""Go's word for the type of an option: the word in the error text, and how its text is read."""
