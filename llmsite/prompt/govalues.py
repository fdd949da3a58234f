"""Messages and tools as Go templates see them: Go's field names, and JSON where Go's types print themselves as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from llmsite.prompt.chat import tool_object
from llmsite.types.codec import go_json
from llmsite.types.message import Message, Tool, ToolCall, encode_message

_TYPESCRIPT: Final = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
}


class UnknownField(Exception):
    """A template asks a struct for a field that its type does not have."""

    def __init__(self, field: str, type_name: str) -> None:
        super().__init__(f"can't evaluate field {field} in type {type_name}")
        self.field = field


class JsonMap(dict[str, Any]):
    """A map that prints as JSON; `source` is what is printed. Walked in the order of its keys."""

    def __init__(self, values: dict[str, Any], source: Any) -> None:
        super().__init__(values)
        self.source = source

    def __go_format__(self, spec: object) -> str:
        """What `printf` shows (a hook of gotpl)."""
        return str(printed(self))


class Struct(JsonMap):
    """A Go struct: other fields than its own are an error."""

    def __init__(self, type_name: str, values: dict[str, Any], source: Any) -> None:
        super().__init__(values, source)
        self._type_name = type_name

    def __gotemplate_lookup__(self, field: str) -> Any:
        """The field's value (a hook of gotpl)."""
        if field not in self:
            raise UnknownField(field, self._type_name)
        return self[field]


class JsonList(list[Any]):
    """A list that prints as JSON."""

    def __go_format__(self, spec: object) -> str:
        return to_json_text(self)


def to_json_text(value: Any) -> str:
    """Compact JSON with Go's escapes; keys of plain maps sorted, as Go's encoder does."""
    return go_json(_plain(value)).decode()


def printed(value: Any) -> Any:
    """What an action prints: JSON for maps, structs and lists of ours, any other value itself. A map that is nil is empty."""
    if isinstance(value, JsonMap) and value.source is None:
        return "{}"
    return to_json_text(value) if isinstance(value, JsonMap | JsonList) else value


def _plain(value: Any) -> Any:
    if isinstance(value, JsonMap):
        return value.source
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float) else None


def typescript_type(prop: Any) -> str:
    """The TypeScript type of a tool's property, or of all that it may be (catalogue 5.2)."""
    if isinstance(prop, dict) and prop.get("AnyOf"):
        return " | ".join(typescript_type(each) for each in prop["AnyOf"])
    types = prop.get("Type") if isinstance(prop, dict) else None
    listed = [types] if isinstance(types, str) else types if isinstance(types, list) else []
    return " | ".join(_TYPESCRIPT.get(each, "any") for each in listed) or "any"


def go_message(message: Message) -> Struct:
    """A message with all its fields (catalogue 5.3)."""
    values = {
        "Role": message.role,
        "Content": message.content,
        "Thinking": message.thinking,
        "Images": list(message.images),
        "ToolCalls": JsonList(_go_call(call) for call in message.tool_calls),
        "ToolName": message.tool_name,
        "ToolCallID": message.tool_call_id,
    }
    return Struct("api.Message", values, encode_message(replace(message, images=())))


def _go_call(call: ToolCall) -> Struct:
    arguments = _sorted(call.arguments)
    function = {"index": call.index, "name": call.name, "arguments": arguments}
    values = {"Index": call.index, "Name": call.name, "Arguments": JsonMap(call.arguments, arguments)}
    source = {"id": call.id, "function": function} if call.id else {"function": function}
    return Struct("api.ToolCall", {"ID": call.id, "Function": Struct("api.ToolCallFunction", values, function)}, source)


def go_tools(tools: Sequence[Tool]) -> JsonList | None:
    """The tools, None without any, so that `if .Tools` is false."""
    return JsonList(_go_tool(tool_object(tool)) for tool in tools) if tools else None


def _go_tool(tool: dict[str, Any]) -> Struct:
    parameters = _with_sorted_properties(tool["function"]["parameters"])
    function = tool["function"] | {"parameters": parameters}
    tool = tool | {"function": function}
    shown = Struct(
        "api.ToolFunctionParameters",
        {
            "Type": parameters["type"],
            "Defs": parameters.get("$defs"),
            "Items": parameters.get("items"),
            "Required": parameters.get("required", []),
            "Properties": _go_properties(parameters["properties"]),
        },
        parameters,
    )
    values = {"Name": function["name"], "Description": function["description"], "Parameters": shown}
    kept = {"Type": tool["type"], "Items": tool.get("items"), "Function": Struct("api.ToolFunction", values, function)}
    return Struct("api.Tool", kept, tool)


def _with_sorted_properties(parameters: dict[str, Any]) -> dict[str, Any]:
    """A Go map holds the properties here, and there alone: those within properties keep their order."""
    properties = parameters["properties"]
    return parameters | {"properties": properties and {name: properties[name] for name in sorted(properties)}}


def _go_properties(properties: dict[str, Any] | None) -> JsonMap:
    return JsonMap({name: _go_property(schema) for name, schema in (properties or {}).items()}, properties)


def _go_property(schema: dict[str, Any]) -> Struct:
    values = {
        "AnyOf": [_go_property(each) for each in schema.get("anyOf", ())],
        "Type": schema.get("type", ""),
        "Items": schema.get("items"),
        "Description": schema.get("description", ""),
        "Enum": schema.get("enum", []),
        "Properties": _go_properties(schema.get("properties")),
        "Required": schema.get("required", []),
    }
    return Struct("api.ToolProperty", values, schema)


def _sorted(value: Any) -> Any:
    """The value with the keys of all its maps in order, as Go prints maps."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(each) for each in value]
    return value
