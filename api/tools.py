"""Tools and calls in a request: what Ollama knows of them. Other keywords of a tool's schema are dropped (catalogue 2.6)."""

from __future__ import annotations

from typing import Any, Final

from api.fields import Reader, read_anything, read_int, read_object, read_string, wrong_type
from llmsite.types.message import Tool, ToolCall


def read_tool_calls(value: Any, field: str) -> tuple[ToolCall, ...]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "[]api.ToolCall")
    return tuple(_read_tool_call(each, field) for each in value)


def _read_tool_call(value: Any, field: str) -> ToolCall:
    call = read_object(value, field, _TOOL_CALL, f"struct field {field} of type api.ToolCall")
    function = call.get("function", {})
    return ToolCall(function.get("name", ""), function.get("arguments", {}), function.get("index", 0), call.get("id", ""))


def _read_called_function(value: Any, field: str) -> dict[str, Any]:
    return read_object(value, field, _CALLED_FUNCTION, f"struct field {field} of type api.ToolCallFunction")


def _read_arguments(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(value, field, "api.ToolCallFunctionArguments")
    return value


def read_tools(value: Any, field: str) -> tuple[Tool, ...]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "api.Tools")
    return tuple(_read_tool(each, field) for each in value)


def _read_tool(value: Any, field: str) -> Tool:
    return Tool(read_object(value, field, _TOOL, f"struct field {field} of type api.Tool"))


def _read_function(value: Any, field: str) -> dict[str, Any]:
    return read_object(value, field, _FUNCTION, f"struct field {field} of type api.ToolFunction")


def _read_parameters(value: Any, field: str) -> dict[str, Any]:
    return read_object(value, field, _PARAMETERS, f"struct field {field} of type api.ToolFunctionParameters")


def _read_properties(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(value, field, "api.ToolPropertiesMap")
    return {name: _read_property(each, field) for name, each in value.items()}


def _read_property(value: Any, field: str) -> dict[str, Any]:
    return read_object(value, field, _PROPERTY, f"struct field {field} of type api.ToolProperty")


def _read_alternatives(value: Any, field: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "[]api.ToolProperty")
    return [_read_property(each, field) for each in value]


def _read_types(value: Any, field: str) -> str | list[str]:
    return value if isinstance(value, str) else _read_strings(value, field)


def _read_strings(value: Any, field: str) -> list[str]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "[]string")
    return [read_string(each, field) for each in value]


def _read_values(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "[]interface {}")
    return value


_TOOL_CALL: Final[dict[str, Reader]] = {"id": read_string, "function": _read_called_function}
_CALLED_FUNCTION: Final[dict[str, Reader]] = {"index": read_int, "name": read_string, "arguments": _read_arguments}
_TOOL: Final[dict[str, Reader]] = {"type": read_string, "items": read_anything, "function": _read_function}
_FUNCTION: Final[dict[str, Reader]] = {"name": read_string, "description": read_string, "parameters": _read_parameters}
_PARAMETERS: Final[dict[str, Reader]] = {
    "type": read_string,
    "$defs": read_anything,
    "items": read_anything,
    "required": _read_strings,
    "properties": _read_properties,
}
_PROPERTY: Final[dict[str, Reader]] = {
    "anyOf": _read_alternatives,
    "type": _read_types,
    "items": read_anything,
    "description": read_string,
    "enum": _read_values,
    "properties": _read_properties,
    "required": _read_strings,
}
