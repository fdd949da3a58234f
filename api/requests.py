"""JSON bodies to the requests of `types/request.py`. A wrong type is a 400 that names the field, in Go's words.

Keys are matched in any case, unknown ones ignored, null means unset (catalogue 2). Each kind of request is one table: JSON key
to reader (`fields.py`, `tools.py`). What needs the model (options, capabilities, names) is checked where the model is known.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from api.fields import Reader, read_anything, read_bool, read_int, read_object, read_options, read_string, wrong_type
from api.tools import read_tool_calls, read_tools
from llmsite.types.codec import go_json
from llmsite.types.duration import parse_keep_alive
from llmsite.types.errors import Forbidden, InvalidOption, InvalidRequest
from llmsite.types.json_body import decode_body
from llmsite.types.limits import Limits
from llmsite.types.message import Message
from llmsite.types.request import ChatRequest, GenerateRequest, Think

_THINK_LEVELS: Final = ("high", "medium", "low", "max")
_THINK_WORDS: Final = '"high", "medium", "low", "max", true, or false'


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


def _read_context(value: Any, field: str) -> list[int]:
    if not isinstance(value, list):
        raise wrong_type(value, field, "[]int")
    for each in value:
        read_int(each, field)
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
_CHAT: Final[dict[str, Reader]] = _MODEL_FIELDS | {"messages": read_messages, "tools": read_tools}
_MESSAGE: Final[dict[str, Reader]] = {
    "role": read_string,
    "content": read_string,
    "thinking": read_string,
    "images": _read_images,
    "tool_calls": read_tool_calls,
    "tool_name": read_string,
    "tool_call_id": read_string,
}
