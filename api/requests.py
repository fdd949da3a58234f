"""JSON bodies to the requests of `types/request.py`. A wrong type is a 400 that names the field, in Go's words.

Keys are matched in any case, unknown ones ignored, null means unset (catalogue 2). Each kind of request is one table:
JSON key to reader. What needs the model (options, capabilities, names) is checked where the model is known.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from llmsite.types.codec import go_json
from llmsite.types.duration import parse_keep_alive
from llmsite.types.errors import Forbidden, InvalidOption, InvalidRequest
from llmsite.types.json_body import decode_body
from llmsite.types.limits import Limits
from llmsite.types.message import Message, Tool, ToolCall
from llmsite.types.request import ChatRequest, GenerateRequest, Think

Reader = Callable[[Any, str], Any]
"""Checks one JSON value; the text names the field in errors. Raises `InvalidRequest`."""

_THINK_LEVELS: Final = ("high", "medium", "low", "max")
_THINK_WORDS: Final = '"high", "medium", "low", "max", true, or false'
_INT64: Final = 2**63


def parse_generate(body: bytes, limits: Limits, user: str = "") -> tuple[GenerateRequest, bool]:
    """The request of `POST /api/generate`, and whether to stream (catalogue 2.5). Raises `InvalidRequest`, `InvalidOption`."""
    fields = read_object(decode_body(body, limits), "GenerateRequest", _GENERATE, "api.GenerateRequest")
    stream = fields.pop("stream", True)
    _check_top_logprobs(fields)
    context = tuple(fields.pop("context", ()))
    request = GenerateRequest(
        model=fields.pop("model", ""), context=context, format=_check_format(fields.pop("format", None)), user=user, **fields
    )
    return request, stream


def parse_chat(body: bytes, limits: Limits, user: str = "") -> tuple[ChatRequest, bool]:
    """The request of `POST /api/chat`, and whether to stream (catalogue 2.6). Raises `InvalidRequest`, `InvalidOption`."""
    fields = read_object(decode_body(body, limits), "ChatRequest", _CHAT, "api.ChatRequest")
    stream = fields.pop("stream", True)
    _check_top_logprobs(fields)
    if len(fields.get("messages", ())) > limits.messages:
        raise InvalidRequest(f"a conversation has at most {limits.messages} messages")
    if len(fields.get("tools", ())) > limits.tools:
        raise InvalidRequest(f"at most {limits.tools} tools can be offered")
    request = ChatRequest(model=fields.pop("model", ""), format=_check_format(fields.pop("format", None)), user=user, **fields)
    return request, stream


def _check_top_logprobs(fields: Mapping[str, Any]) -> None:
    if not 0 <= fields.get("top_logprobs", 0) <= 20:
        raise InvalidRequest("top_logprobs must be between 0 and 20")


def _check_format(value: Any) -> str | dict[str, Any] | None:
    """None, "json" or a schema. Anything else is Ollama's 500 (catalogue 2.3)."""
    if value is None or value == "":
        return None
    if value == "json" or isinstance(value, dict):
        return value  # type: ignore[no-any-return]
    raise InvalidOption(f'invalid format: {_go_quote(value)}; expected "json" or a valid JSON Schema object')


def _go_quote(value: Any) -> str:
    """The JSON of a value as a quoted Go string."""
    text = go_json(value).decode().replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


# readers: one JSON type each


def read_string(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(value, field, "string")
    return value


def read_bool(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(value, field, "bool")
    return value


def read_int(value: Any, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise wrong_type(value, field, "int")
    return value


def read_anything(value: Any, field: str) -> Any:
    return value


def _read_context(value: Any, field: str) -> list[int]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "[]int")
    for each in value:
        read_int(each, field)
    return value


def read_options(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(value, field, "map[string]interface {}")
    return value


def _read_think(value: Any, field: str) -> Think:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise InvalidRequest(f"think must be a boolean or string ({_THINK_WORDS})")
    if value not in _THINK_LEVELS:
        raise InvalidRequest(f"invalid think value: {json.dumps(value, ensure_ascii=False)} (must be {_THINK_WORDS})")
    return value


def _refuse_chat_template(value: Any, field: str) -> Any:
    """Jinja templates come with models only: their renderer trusts nobody else (threat T19)."""
    raise Forbidden("chat templates cannot be set per request")


def _read_keep_alive(value: Any, field: str) -> float | None:
    return parse_keep_alive(value)


def _read_images(value: Any, field: str) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "[]api.ImageData")
    return tuple(_decode_base64(each, field) for each in value if each is not None)


_NO_BASE64: Final = re.compile(r"[^A-Za-z0-9+/\r\n]")


def _decode_base64(value: Any, field: str) -> bytes:
    """Standard base64 with padding; line breaks are skipped, as Go does."""
    if not isinstance(value, str):
        raise wrong_type(value, field, "[]uint8")
    bad = _NO_BASE64.search(value.rstrip("=\r\n"))
    if bad:
        raise InvalidRequest(f"illegal base64 data at input byte {len(value[: bad.start()].encode())}")
    try:
        return base64.b64decode(value.replace("\r", "").replace("\n", ""), validate=True)
    except binascii.Error as error:
        raise InvalidRequest(f"illegal base64 data at input byte {len(value) // 4 * 4}") from error


def read_messages(value: Any, field: str) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "[]api.Message")
    return tuple(_read_message(each, field) for each in value)


def _read_message(value: Any, field: str) -> Message:
    fields = read_object(value, field, _MESSAGE, f"struct field {field} of type api.Message")
    return Message(role=fields.pop("role", "").lower(), **fields)


def _read_tool_calls(value: Any, field: str) -> tuple[ToolCall, ...]:
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


def _read_tools(value: Any, field: str) -> tuple[Tool, ...]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "api.Tools")
    return tuple(_read_tool(each, field) for each in value)


def _read_tool(value: Any, field: str) -> Tool:
    if not isinstance(value, dict):
        raise wrong_type(value, field, "api.Tool")
    function = value.get("function") or {}
    if not isinstance(function, dict):
        raise wrong_type(function, f"{field}.function", "api.ToolFunction")
    for key in ("name", "description"):
        if function.get(key) is not None:
            read_string(function[key], f"{field}.function.{key}")
    return Tool(value)


# the tables


_MODEL_FIELDS: Final[dict[str, Reader]] = {
    "model": read_string,
    "stream": read_bool,
    "format": read_anything,
    "keep_alive": _read_keep_alive,
    "options": read_options,
    "think": _read_think,
    "truncate": read_bool,
    "shift": read_bool,
    "logprobs": read_bool,
    "top_logprobs": read_int,
    "_debug_render_only": read_bool,
    "chat_template": _refuse_chat_template,
    "chat_template_kwargs": _refuse_chat_template,
}
_GENERATE: Final[dict[str, Reader]] = _MODEL_FIELDS | {
    "prompt": read_string,
    "suffix": read_string,
    "system": read_string,
    "template": read_string,
    "context": _read_context,
    "raw": read_bool,
    "images": _read_images,
}
_CHAT: Final[dict[str, Reader]] = _MODEL_FIELDS | {"messages": read_messages, "tools": _read_tools}
_MESSAGE: Final[dict[str, Reader]] = {
    "role": read_string,
    "content": read_string,
    "thinking": read_string,
    "images": _read_images,
    "tool_calls": _read_tool_calls,
    "tool_name": read_string,
    "tool_call_id": read_string,
}
_TOOL_CALL: Final[dict[str, Reader]] = {"id": read_string, "function": _read_called_function}
_CALLED_FUNCTION: Final[dict[str, Reader]] = {"index": read_int, "name": read_string, "arguments": _read_arguments}


def read_object(value: Any, field: str, readers: Mapping[str, Reader], go_target: str) -> dict[str, Any]:
    """The known, set fields of a JSON object by attribute name. `go_target` is what Go would have decoded into."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        into = go_target if go_target.startswith("struct field") else f"value of type {go_target}"
        raise InvalidRequest(f"json: cannot unmarshal {_go_kind(value)} into Go {into}")
    found: dict[str, Any] = {}
    for key, each in value.items():
        name = key if key in readers else key.lower()
        if name in readers and each is not None:
            found[name.lstrip("_")] = readers[name](each, f"{field}.{name}")
    return found


def wrong_type(value: Any, field: str, go_type: str) -> InvalidRequest:
    return InvalidRequest(f"json: cannot unmarshal {_go_kind(value)} into Go struct field {field} of type {go_type}")


def _go_kind(value: Any) -> str:
    """Go's word for what a JSON value is; a number that does not fit is named with its digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float):
        return f"number {go_json(value).decode()}" if abs(value) < 1e300 else "number"
    if isinstance(value, int):
        return "number" if -_INT64 <= value < _INT64 else f"number {value}"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
