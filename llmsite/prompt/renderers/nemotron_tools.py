"""How Nemotron is told of tools and how its calls are written: XML, with values as Python prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmsite.prompt.renderers.goprint import SPACE, compact_json, in_go, plain_text, tool_fields
from llmsite.prompt.renderers.qwen import CALL_FORMAT, xml_call
from llmsite.types.gotext import go_quote
from llmsite.types.message import Tool, ToolCall


def offer(tools: Sequence[Tool]) -> str:
    """The section on tools; empty without any."""
    if not tools:
        return ""
    described = "".join(f"\n{line}" for tool in tools for line in _describe(tool_fields(tool)["function"]))
    return f"# Tools\n\nYou have access to the following functions:\n\n<tools>{described}\n</tools>{CALL_FORMAT}"


def call_text(call: ToolCall) -> str:
    """A call with an element for each argument."""
    return f"{xml_call(call, _value)}\n"


def _describe(function: Mapping[str, Any]) -> Iterator[str]:
    parameters = function["parameters"]
    yield from ("<function>", f"<name>{function['name']}</name>", *_description(function), "<parameters>")
    for name, schema in (parameters["properties"] or {}).items():
        yield from ("<parameter>", f"<name>{name}</name>", *_type(schema), *_description(schema))
        for key in ("enum", "anyOf", "items", "properties", "required"):
            if key in schema:
                yield f"<{key}>{_json(schema[key])}</{key}>"
        yield "</parameter>"
    for key in ("$defs", "items", "required"):
        if key in parameters:
            yield f"<{key}>{_value(parameters[key])}</{key}>"
    yield from ("</parameters>", "</function>")


def _description(fields: Mapping[str, Any]) -> list[str]:
    return [f"<description>{fields['description'].strip(SPACE)}</description>"] if "description" in fields else []


def _type(schema: Mapping[str, Any]) -> list[str]:
    if "type" not in schema:
        return []
    types = schema["type"]
    shown = types if isinstance(types, str) else f"[{', '.join(map(_in_quotes, types))}]"
    return [f"<type>{shown}</type>"]


def _in_quotes(name: str) -> str:
    return f"'{name}'"


def _value(value: Any) -> str:
    """JSON of maps and lists, anything else as `str` would print it."""
    match value:
        case None:
            return "None"
        case bool():
            return str(value)
        case dict() | list() | tuple():
            return _json(in_go(value))
        case _:
            return plain_text(value)


def _json(value: Any) -> str:
    """JSON as `json.dumps` spaces it, but with texts quoted as in Go. Key order is kept."""
    match value:
        case str():
            return go_quote(value)
        case dict():
            return f"{{{', '.join(f'{go_quote(name)}: {_json(each)}' for name, each in value.items())}}}"
        case list():
            return f"[{', '.join(map(_json, value))}]"
        case _:
            return compact_json(value)
