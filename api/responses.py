"""Answers in Ollama's shape: bytes with the keys in its order (catalogue 2.5, 2.6, 2.9, 2.13, 2.14).

Frames of a token are put together from bytes: there is one for every token of every answer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from llmsite.types.chunk import Chunk, Logprob, Metrics, ModelDetails, RunningModel, TokenLogprob
from llmsite.types.codec import go_json
from llmsite.types.message import ToolCall
from models_app.services import InstalledModel

_NANOSECONDS: Final = 1_000_000_000
_FOREVER_SECONDS: Final = (2**63 - 1) / 1e9
"""A keep-alive without end is shown as this far ahead, about 292 years (catalogue 2.14)."""

_encoder = msgspec.json.Encoder()


def go_text(text: str) -> bytes:
    """One JSON string with Go's escapes."""
    encoded = _encoder.encode(text)
    if b"<" in encoded or b">" in encoded or b"&" in encoded or b"\xe2\x80" in encoded:
        return go_json(text)
    return encoded


def timestamp(ns: int) -> str:
    """RFC 3339 in UTC with up to nine digits of a second, trailing zeros trimmed. `ns` is nanoseconds since 1970."""
    seconds, rest = divmod(ns, _NANOSECONDS)
    return f"{_utc_second(seconds)}{_fraction(rest)}Z"


def local_timestamp(ns: int) -> str:
    """RFC 3339 with this machine's offset, for times of files and expiries. `ns` is nanoseconds since 1970."""
    seconds, rest = divmod(ns, _NANOSECONDS)
    moment = datetime.fromtimestamp(seconds, UTC).astimezone()
    offset = moment.strftime("%z")
    zone = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{_fraction(rest)}{zone}"


def _fraction(ns: int) -> str:
    return f".{ns:09d}".rstrip("0") if ns else ""


_last_second: tuple[int, str] = (-1, "")


def _utc_second(seconds: int) -> str:
    """Date and time to the second; the last one is kept, since many frames share it."""
    global _last_second
    second, text = _last_second
    if second != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _last_second = (seconds, text)
    return text


class GenerateWriter:
    """Frames of `/api/generate` for one request. `model` is the caller's own spelling."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._head = b'{"model":' + go_text(model) + b',"created_at":"'

    def frame(self, chunk: Chunk) -> bytes:
        """One JSON object, without a newline."""
        if chunk.done or chunk.thinking or chunk.logprobs or chunk.tool_calls or chunk.rendered is not None:
            return go_json(self._whole(chunk))
        return self._head + timestamp(time.time_ns()).encode() + b'","response":' + go_text(chunk.content) + b',"done":false}'

    def _whole(self, chunk: Chunk) -> dict[str, Any]:
        frame: dict[str, Any] = {"model": self._model, "created_at": timestamp(time.time_ns()), "response": chunk.content}
        _add(frame, "thinking", chunk.thinking)
        frame["done"] = chunk.done
        _add(frame, "done_reason", chunk.done_reason)
        _add(frame, "context", list(chunk.context))
        _add_metrics(frame, chunk.metrics)
        _add(frame, "tool_calls", [_tool_call(each) for each in chunk.tool_calls])
        _add(frame, "_debug_info", _debug_info(chunk))
        _add(frame, "logprobs", [_logprob(each) for each in chunk.logprobs])
        return frame


class ChatWriter:
    """Frames of `/api/chat` for one request."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._head = b'{"model":' + go_text(model) + b',"created_at":"'

    def frame(self, chunk: Chunk) -> bytes:
        """One JSON object, without a newline."""
        if chunk.done or chunk.thinking or chunk.logprobs or chunk.tool_calls or chunk.rendered is not None:
            return go_json(self._whole(chunk))
        middle = b'","message":{"role":"assistant","content":'
        return self._head + timestamp(time.time_ns()).encode() + middle + go_text(chunk.content) + b'},"done":false}'

    def _whole(self, chunk: Chunk) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "" if chunk.rendered is not None else "assistant", "content": chunk.content}
        _add(message, "thinking", chunk.thinking)
        _add(message, "tool_calls", [_tool_call(each) for each in chunk.tool_calls])
        frame = {
            "model": self._model,
            "created_at": timestamp(time.time_ns()),
            "message": message,
            "done": chunk.done,
        }
        _add(frame, "done_reason", chunk.done_reason)
        _add(frame, "_debug_info", _debug_info(chunk))
        _add(frame, "logprobs", [_logprob(each) for each in chunk.logprobs])
        _add_metrics(frame, chunk.metrics)
        return frame


Writer = GenerateWriter | ChatWriter


def join(chunks: Iterable[Chunk]) -> Chunk:
    """All chunks of an answer as the one that `stream: false` asks for."""
    parts = list(chunks)
    last = parts[-1]
    return Chunk(
        content="".join(each.content for each in parts),
        thinking="".join(each.thinking for each in parts),
        tool_calls=tuple(call for each in parts for call in each.tool_calls),
        logprobs=tuple(logprob for each in parts for logprob in each.logprobs),
        done=last.done,
        done_reason=last.done_reason,
        context=last.context,
        metrics=last.metrics,
    )


def _add(frame: dict[str, Any], key: str, value: Any) -> None:
    """Go's omitempty."""
    if value:
        frame[key] = value


def _add_metrics(frame: dict[str, Any], metrics: Metrics | None) -> None:
    if metrics is None:
        return
    _add(frame, "total_duration", metrics.total_duration)
    _add(frame, "load_duration", metrics.load_duration)
    _add(frame, "prompt_eval_count", metrics.prompt_eval_count)
    _add(frame, "prompt_eval_duration", metrics.prompt_eval_duration)
    _add(frame, "eval_count", metrics.eval_count)
    _add(frame, "eval_duration", metrics.eval_duration)


def _debug_info(chunk: Chunk) -> dict[str, Any]:
    if chunk.rendered is None:
        return {}
    info: dict[str, Any] = {"rendered_template": chunk.rendered}
    _add(info, "image_count", chunk.num_images)
    return info


def _tool_call(call: ToolCall) -> dict[str, Any]:
    frame: dict[str, Any] = {}
    _add(frame, "id", call.id)
    frame["function"] = {"index": call.index, "name": call.name, "arguments": call.arguments}
    return frame


def _logprob(logprob: Logprob) -> dict[str, Any]:
    frame = _token_logprob(logprob.chosen)
    _add(frame, "top_logprobs", [_token_logprob(each) for each in logprob.top])
    return frame


def _token_logprob(token: TokenLogprob) -> dict[str, Any]:
    frame: dict[str, Any] = {"token": token.token, "logprob": token.logprob}
    _add(frame, "bytes", list(token.bytes))
    return frame


def details(model: ModelDetails, *, with_sizes: bool) -> dict[str, Any]:
    """The `details` object; context and embedding length appear in tags only (catalogue 2.13)."""
    frame: dict[str, Any] = {
        "parent_model": model.parent_model,
        "format": model.format,
        "family": model.family,
        "families": None if model.families is None else list(model.families),
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization_level,
    }
    if with_sizes:
        _add(frame, "context_length", model.num_ctx)
        _add(frame, "embedding_length", model.num_embd)
    return frame


@lru_cache(maxsize=2_048)
def installed_model(model: InstalledModel) -> bytes:
    """One element of `/api/tags`. Kept, since most of a long list stays as it was."""
    frame = {
        "name": model.name,
        "model": model.name,
        "modified_at": local_timestamp(model.modified_ns),
        "size": model.size_bytes,
        "digest": model.digest,
        "details": details(model.details, with_sizes=True),
    }
    _add(frame, "capabilities", list(model.capabilities))
    return go_json(frame)


def running_model(model: RunningModel, now: float) -> dict[str, Any]:
    """One element of `/api/ps`. `now` is seconds since 1970."""
    expires_at = now + _FOREVER_SECONDS if math.isinf(model.expires_at) else model.expires_at
    return {
        "name": model.name,
        "model": model.name,
        "size": model.size_bytes,
        "digest": model.digest,
        "details": details(replace(model.details, parent_model=""), with_sizes=False),
        "expires_at": local_timestamp(int(expires_at * _NANOSECONDS)),
        "size_vram": model.size_vram_bytes,
        "context_length": model.num_ctx,
    }
