"""How Gemma 4 is told of tools: declarations, and the schemas of what they take, as its own template writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmsite.prompt.renderers.gemma import Notation, fields
from llmsite.prompt.renderers.goprint import listed_text, tool_fields
from llmsite.types.message import Tool

NOTATION: Final = Notation(quote='<|"|>', null="null")

_KEYWORDS: Final = ("description", "type", "properties", "required", "nullable")
"""Keys of a schema that are never taken for properties, not even where properties are named like them."""


def declaration(tool: Tool) -> str:
    """A function and what it takes."""
    function = tool_fields(tool)["function"]
    properties = _properties(_declared(function["parameters"]["properties"] or {}))
    return f"<|tool>{NOTATION.declaration(function, properties)}<tool|>"


def _declared(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a function, with one name for the type of each; what `items` hold is left as it was given."""
    return {name: _with_one_type(schema) for name, schema in properties.items()}


def _with_one_type(schema: Mapping[str, Any]) -> dict[str, Any]:
    types = _listed(schema["type"]) if "type" in schema else _alternatives(schema.get("anyOf", ()))
    named = dict(schema)
    if types:
        named["type"] = types[0] if len(types) == 1 else f"[{', '.join(map(_in_quotes, types))}]"
    if "properties" in schema:
        named["properties"] = _declared(schema["properties"])
    return named


def _in_quotes(name: str) -> str:
    return f"'{name}'"


def _alternatives(branches: list[dict[str, Any]]) -> list[str]:
    """The types of branches that say nothing but a type; none as soon as one says more."""
    if any(set(branch) != {"type"} for branch in branches):
        return []
    return list(dict.fromkeys(name for branch in branches for name in _listed(branch["type"])))


def _properties(schemas: Mapping[str, Any]) -> str:
    shown = sorted(name for name, schema in schemas.items() if name not in _KEYWORDS and isinstance(schema, dict))
    return fields({name: _schema(schemas[name]) for name in shown})


def _schema(schema: Mapping[str, Any]) -> str:
    """What a value may be. What is told depends on the first of its types."""
    types = _types(schema.get("type"))
    written = {}
    if (description := schema.get("description")) and isinstance(description, str):
        written["description"] = NOTATION.text(description)
    match types[:1], schema:
        case ["STRING"], {"enum": [_, *_] as values}:
            written["enum"] = NOTATION.texts(map(listed_text, values))
        case ["ARRAY"], {"items": dict() as items} if items:
            written["items"] = _items(items)
    if schema.get("nullable") is True:
        written["nullable"] = "true"
    if types[:1] == ["OBJECT"]:
        written["properties"] = _properties(nested if isinstance(nested := schema.get("properties"), dict) else schema)
        if required := _texts(schema.get("required")):
            written["required"] = NOTATION.texts(required)
    if types:
        written["type"] = _written(types)
    return fields(written)


def _items(schema: Mapping[str, Any]) -> str:
    """What the elements of a list may be: every key of the schema, those that say nothing left out."""
    return f"{{{','.join(_item(name, schema[name]) for name in sorted(schema) if schema[name] is not None)}}}"


def _item(name: str, value: Any) -> str:
    match name:
        case "properties":
            return f"properties:{_properties(value if isinstance(value, dict) else {})}"
        case "required":
            return f"required:{NOTATION.texts(_texts(value))}"
        case "type":
            types = _types(value)
            return f"type:{_written(types)}" if types else ""
        case _:
            return f"{name}:{NOTATION.value(value, quotes_keys=True)}"


def _written(types: list[str]) -> str:
    return NOTATION.text(types[0]) if len(types) == 1 else NOTATION.texts(types)


def _types(value: Any) -> list[str]:
    return [name.upper() for name in _listed(value)]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else _texts(value)


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
