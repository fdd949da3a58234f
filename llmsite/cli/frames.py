"""JSON of the server's REST API to what the command line works with, and back. Pure; `rest.py` carries it."""

from __future__ import annotations

import math
from typing import Any, Final

from llmsite.cli.tables import parse_timestamp
from llmsite.types.chunk import Chunk, Metrics, ModelDetails, Progress, RunningModel, RunningModels
from llmsite.types.message import Message, ToolCall
from llmsite.types.request import ChatRequest, GenerateRequest

_METRICS: Final = tuple(name for name in Metrics.__dataclass_fields__ if name != "cached_count")


def read_chunk(frame: dict[str, Any]) -> Chunk:
    """One frame of generate or chat."""
    message = frame.get("message") or {}
    metrics = Metrics(**{name: frame[name] for name in _METRICS if name in frame})
    return Chunk(
        content=message.get("content") or frame.get("response") or "",
        thinking=message.get("thinking") or frame.get("thinking") or "",
        tool_calls=tuple(_tool_call(each) for each in message.get("tool_calls") or frame.get("tool_calls") or ()),
        done=bool(frame.get("done")),
        done_reason=frame.get("done_reason"),
        context=tuple(frame.get("context") or ()),
        metrics=metrics if frame.get("done") else None,
    )


def _tool_call(frame: dict[str, Any]) -> ToolCall:
    function = frame.get("function") or {}
    return ToolCall(function.get("name", ""), function.get("arguments") or {}, function.get("index", 0), frame.get("id", ""))


def read_progress(frame: dict[str, Any]) -> Progress:
    """One frame of create, pull or push; what is zero or empty was left out."""
    return Progress(frame.get("status") or "", frame.get("digest") or "", frame.get("total") or 0, frame.get("completed") or 0)


def read_running_models(frame: dict[str, Any]) -> RunningModels:
    """The answer of ps."""
    return RunningModels(tuple(_running_model(each) for each in frame.get("models") or ()))


def _running_model(frame: dict[str, Any]) -> RunningModel:
    return RunningModel(
        name=frame["name"],
        digest=frame["digest"],
        details=ModelDetails(),
        size_bytes=frame["size"],
        size_vram_bytes=frame["size_vram"],
        num_ctx=frame.get("context_length", 0),
        expires_at=parse_timestamp(frame["expires_at"]),
    )


def generate_body(request: GenerateRequest) -> dict[str, Any]:
    """The body of a generate request."""
    body = _shared_body(request) | {"prompt": request.prompt}
    if request.suffix:
        body["suffix"] = request.suffix
    if request.system is not None:
        body["system"] = request.system
    if request.raw:
        body["raw"] = True
    return body


def chat_body(request: ChatRequest) -> dict[str, Any]:
    """The body of a chat request."""
    return _shared_body(request) | {"messages": [_message(each) for each in request.messages]}


def _shared_body(request: GenerateRequest | ChatRequest) -> dict[str, Any]:
    """What is set; the server knows the defaults."""
    body: dict[str, Any] = {"model": request.model}
    if request.format is not None:
        body["format"] = request.format
    if request.think is not None:
        body["think"] = request.think
    if request.keep_alive is not None:
        body["keep_alive"] = -1 if math.isinf(request.keep_alive) else request.keep_alive
    if request.options:
        body["options"] = request.options
    return body


def _message(message: Message) -> dict[str, Any]:
    body = {"role": message.role, "content": message.content}
    return body | ({"thinking": message.thinking} if message.thinking else {})
