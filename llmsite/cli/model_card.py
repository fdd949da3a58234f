"""What `show` and `/show info` print about a model: the answer of /api/show in sections (catalogue 9.3). Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from llmsite.cli.boxes import section
from llmsite.cli.plain_text import plain
from llmsite.cli.tables import display_width, format_count

_ARRAY_WIDTH: Final = 10
_TEXT_WIDTH: Final = 100
_SHOWN_LINES: Final = 2
_PLAIN_DIGITS: Final = 6
"""From a million on, `%g` prints an exponent."""

Rows = list[list[str]]


def model_card(answer: Mapping[str, Any], *, is_verbose: bool) -> str:
    """All sections that have something to say; `is_verbose` adds metadata and tensors."""
    return plain("".join(_sections(answer, is_verbose)))


def _sections(answer: Mapping[str, Any], is_verbose: bool) -> Iterator[str]:
    yield section("Model", _model(answer))
    if capabilities := answer.get("capabilities"):
        yield section("Capabilities", [[each] for each in capabilities])
    if projector := answer.get("projector_info"):
        yield section("Projector", _projector(projector))
    if parameters := answer.get("parameters"):
        yield section("Parameters", [line.split() for line in parameters.split("\n") if line])
    if is_verbose and (metadata := answer.get("model_info")):
        yield section("Metadata", [[key, format_value(metadata[key])] for key in sorted(metadata)])
    if is_verbose and (tensors := answer.get("tensors")):
        yield section("Tensors", [[each["name"], each["type"], _format(each["shape"])] for each in tensors])
    for title in ("System", "License"):
        if text := answer.get(title.lower()):
            yield section(title, _head(text), _TEXT_WIDTH)


def _model(answer: Mapping[str, Any]) -> Rows:
    details, metadata = answer.get("details") or {}, answer.get("model_info") or {}
    architecture = metadata.get("general.architecture") or details.get("family") or ""
    size = details.get("parameter_size") or _count(metadata.get("general.parameter_count"))
    rows = [
        ["architecture", architecture],
        ["parameters", size],
        ["context length", _whole(metadata.get(f"{architecture}.context_length"))],
        ["embedding length", _whole(metadata.get(f"{architecture}.embedding_length"))],
    ]
    rows = [row for row in rows if row[1]] + [["quantization", details.get("quantization_level") or ""]]
    return rows + ([["requires", answer["requires"]]] if answer.get("requires") else [])


def _projector(metadata: Mapping[str, Any]) -> Rows:
    architecture = metadata.get("general.architecture") or ""
    rows = [
        ["architecture", architecture],
        ["parameters", _count(metadata.get("general.parameter_count"))],
        ["embedding length", _whole(metadata.get(f"{architecture}.vision.embedding_length"))],
        ["dimensions", _whole(metadata.get(f"{architecture}.vision.projection_dim"))],
    ]
    return [row for row in rows if row[1]]


def _head(text: str) -> Rows:
    """The first lines that say something."""
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    return [[line] for line in lines[:_SHOWN_LINES]] + ([["..."]] if len(lines) > _SHOWN_LINES else [])


def format_value(value: Any) -> str:
    """One value of the metadata; of an array as many entries as fit into a few columns."""
    if not isinstance(value, list):
        return _format(value)
    shown, width = 0, 1
    for each in value:
        width += display_width(_format(each)) + (2 if shown else 0)
        if width > _ARRAY_WIDTH and shown:
            break
        shown += 1
    inner = " ".join(map(_format, value[:shown]))
    return f"[{inner}]" if shown == len(value) else f"[{inner} ...+{len(value) - shown} more]"


def _format(value: Any) -> str:
    """A JSON value as Go prints it with `%v`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return format_float(value)
    if isinstance(value, list):
        return "[" + " ".join(map(_format, value)) + "]"
    return "<nil>" if value is None else str(value)


def format_float(number: float) -> str:
    """Go's `%g`: the shortest digits, with an exponent below 0.0001 and from a million on."""
    exact = Decimal(repr(float(number)))
    if not exact:
        return "0"
    sign, digits, _ = exact.normalize().as_tuple()
    exponent = exact.adjusted()
    if -4 <= exponent < _PLAIN_DIGITS:
        return f"{exact.normalize():f}"
    text = "".join(map(str, digits))
    mantissa = f"{text[0]}.{text[1:]}" if text[1:] else text[0]
    return f"{'-' if sign else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _count(number: Any) -> str:
    return format_count(int(number)) if isinstance(number, int | float) else ""


def _whole(number: Any) -> str:
    return f"{Decimal(repr(number)).normalize():f}" if isinstance(number, int | float) else ""
