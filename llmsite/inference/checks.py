"""What a request asks for against what its model can do: refused before anything is loaded (catalogue 2.3, 2.5 to 2.7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from llmsite.inference.resolver import Model
from llmsite.prompt.media import is_audio
from llmsite.types.errors import InvalidRequest, MissingCapability
from llmsite.types.limits import Limits
from llmsite.types.request import ChatRequest, GenerateRequest, Think

Asked = GenerateRequest | ChatRequest

_MAX_TOP_LOGPROBS: Final = 20
_LEVELS: Final = ("high", "medium", "low", "max")
_FORMAT: Final = "structured output"
_ONLY_IN_PROMPTS: Final = frozenset({"tools", "vision", "audio"})
"""What prompts show and no answer heeds yet."""


def is_empty(request: Asked) -> bool:
    """Whether it only loads or unloads (catalogue 2.5, 2.6)."""
    return not (request.messages if isinstance(request, ChatRequest) else request.prompt)


def check_values(request: Asked, limits: Limits) -> None:
    """What can be refused before the model is known."""
    if not 0 <= request.top_logprobs <= _MAX_TOP_LOGPROBS:
        raise InvalidRequest(f"top_logprobs must be between 0 and {_MAX_TOP_LOGPROBS}")
    if isinstance(request.think, str) and request.think not in _LEVELS:
        shown = json.dumps(request.think, ensure_ascii=False)
        raise InvalidRequest(f'invalid think value: {shown} (must be "high", "medium", "low", "max", true, or false)')
    if isinstance(request, ChatRequest) and len(request.messages) > limits.messages:
        raise InvalidRequest(f"a conversation has at most {limits.messages} messages")


def check_raw(request: Asked) -> None:
    if not isinstance(request, GenerateRequest) or not request.raw:
        return
    if request.template or request.system or request.context:
        raise InvalidRequest("raw mode does not support template, system, or context")


def resolve_think(request: Asked, model: Model) -> Think:
    """On by default where the model can; where it cannot, asking for it is an error (catalogue 2.7)."""
    if "thinking" in model.capabilities:
        if request.think == "max" and model.is_harmony:
            return "high"
        return True if request.think is None else request.think
    if request.think:
        raise MissingCapability(f'"{request.model}" does not support thinking')
    return request.think


def check_capabilities(request: Asked, model: Model) -> None:
    """Refuse what the model lacks (catalogue 2.3). What no answer heeds yet is refused whatever the model, but for its prompt."""
    if "completion" not in model.capabilities:
        word = "chat" if isinstance(request, ChatRequest) else "generate"
        raise MissingCapability(f'"{request.model}" does not support {word}')
    able = {*model.capabilities, _FORMAT} if request.debug_render_only else {*model.capabilities} - _ONLY_IN_PROMPTS
    missing = [each for each in _needs(request, model) if each not in able]
    if missing:
        raise MissingCapability(f"{model.full_name} does not support " + "\n".join(missing))


def _needs(request: Asked, model: Model) -> Iterator[str]:
    """Capabilities beside completion that the request asks for, in the order of Ollama's error."""
    if isinstance(request, ChatRequest) and request.tools:
        yield "tools"
    if isinstance(request, GenerateRequest) and request.suffix:
        yield "insert"
    are_sounds = {is_audio(each) for each in _media(request, model)}
    if False in are_sounds:
        yield "vision"
    if True in are_sounds:
        yield "audio"
    if request.format:
        yield _FORMAT


def _media(request: Asked, model: Model) -> Iterator[bytes]:
    """Images and sounds of a request and of the history that comes with the model; none where nothing is asked."""
    if is_empty(request):
        return
    yield from (image for message in model.stored.messages for image in message.images)
    if isinstance(request, ChatRequest):
        yield from (image for message in request.messages for image in message.images)
    else:
        yield from request.images
