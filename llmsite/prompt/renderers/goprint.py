"""Values as Go prints them into prompts: JSON of tools and calls, and arguments as plain text.

Numbers in JSON from outside are floats in Go, so that is how they are printed; maps without an order of their own go by key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from llmsite.types.codec import go_json
from llmsite.types.message import Tool

SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What `strings.TrimSpace` takes away; Python counts four separators of old more."""

_EXACT: Final = 2**53
_INT64: Final = 2**63
_STRUCTS: Final = ("function", "parameters")
_MIN_EXPONENT: Final = -4
_MAX_EXPONENT: Final = 6


def compact_json(value: Any) -> str:
    """A value of no declared type as `json.Marshal` prints it: keys sorted at every level."""
    return go_json(in_go(value)).decode()


def arguments_json(arguments: Mapping[str, Any]) -> str:
    """The arguments of a call, in the order in which the model gave them; maps inside them go by key."""
    return go_json({name: in_go(value) for name, value in arguments.items()}).decode()


def tool_json(tool: Tool) -> str:
    """A tool's definition, its fields in Ollama's order."""
    return fields_json(tool_fields(tool))


def fields_json(fields: Mapping[str, Any]) -> str:
    """Fields of a tool, in the order they have."""
    return go_json(fields).decode()


def loose_json(value: Any) -> str:
    """As `compact_json`, but `<`, `>` and `&` stand as they are."""
    return go_json(in_go(value), escapes_html=False).decode()


def loose_fields_json(fields: Mapping[str, Any]) -> str:
    """As `fields_json`, but `<`, `>` and `&` stand as they are: not in properties, whose type prints itself."""
    return go_json(_loose(fields), escapes_html=False).decode()


def _loose(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: msgspec.Raw(go_json(value)) if name == "properties" else _loose(value) if name in _STRUCTS else value
        for name, value in fields.items()
    }


def spaced(json: str) -> str:
    """JSON on one line with a space after each `:` and `,`."""
    return msgspec.json.format(json, indent=0)


def tool_fields(tool: Tool) -> dict[str, Any]:
    """What Ollama keeps of a tool's definition, in its order; empty fields it does not print are left out."""
    function = _map(tool.definition.get("function"))
    kept = {
        "name": _text(function, "name"),
        **_present({"description": _text(function, "description")}),
        "parameters": _parameters(_map(function.get("parameters"))),
    }
    return {"type": _text(tool.definition, "type"), **_items(tool.definition), "function": kept}


def _parameters(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    return {
        "type": _text(schema, "type"),
        **({"$defs": in_go(schema["$defs"])} if schema.get("$defs") is not None else {}),
        **_items(schema),
        **_present({"required": _texts(schema.get("required"))}),
        "properties": _properties(properties) if isinstance(properties, dict) else None,
    }


def _properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _property(_map(schema)) for name, schema in properties.items()}


def _property(schema: Mapping[str, Any]) -> dict[str, Any]:
    types = _types(schema.get("type"))
    properties = schema.get("properties")
    return {
        **_present({"anyOf": [_property(_map(each)) for each in _list(schema.get("anyOf"))]}),
        **({"type": types[0] if len(types) == 1 else types} if types else {}),
        **_items(schema),
        **_present({"description": _text(schema, "description"), "enum": in_go(_list(schema.get("enum")))}),
        **({"properties": _properties(properties)} if isinstance(properties, dict) else {}),
        **_present({"required": _texts(schema.get("required"))}),
    }


def plain_text(value: Any) -> str:
    """An argument as text: a string as it is, maps and lists as JSON, anything else as `fmt.Sprint` prints it."""
    match value:
        case None:
            return "null"
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case dict() | list() | tuple():
            return compact_json(value)
        case _:
            return _float_text(float(value)) if _is_finite(value) else str(value)


def listed_text(value: Any) -> str:
    """Any value as `fmt.Sprint` prints it: maps as `map[a:1]`, lists as `[a b]`."""
    match value:
        case None:
            return "<nil>"
        case dict():
            return f"map[{' '.join(f'{key}:{listed_text(value[key])}' for key in sorted(value))}]"
        case list() | tuple():
            return f"[{' '.join(map(listed_text, value))}]"
        case _:
            return plain_text(value)


def whole_text(value: float) -> str:
    """A number; in full when it is whole and 64 bits hold it."""
    if _is_finite(value) and float(value).is_integer() and -_INT64 <= float(value) < _INT64:
        return str(int(float(value)))
    return plain_text(value)


def _float_text(value: float) -> str:
    """Go's `%v`: as few digits as tell the value, with an exponent below 1e-4 and from 1e6 on."""
    number = Decimal(repr(value)).normalize()
    exponent = number.adjusted()
    if not value or _MIN_EXPONENT <= exponent < _MAX_EXPONENT:
        return format(number, "f")
    return f"{number.scaleb(-exponent):f}e{exponent:+03d}"


def in_go(value: Any) -> Any:
    """The value as Go decodes JSON: integers are floats, keys of maps are sorted."""
    match value:
        case bool() | str() | None:
            return value
        case int():
            return float(value) if abs(value) > _EXACT and _is_finite(value) else value
        case float():
            return value
        case Mapping():
            return {str(key): in_go(value[key]) for key in sorted(value, key=str)}
        case Sequence():
            return [in_go(each) for each in value]
        case _:
            return None


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _items(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"items": in_go(schema["items"])} if schema.get("items") is not None else {}


def _types(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else _texts(value)


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [each for each in _list(value) if isinstance(each, str)]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
