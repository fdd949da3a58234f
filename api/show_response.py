"""The answer of POST /api/show: keys in Ollama's order (catalogue 2.15). A whole vocabulary goes out in pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from api.errors import JSON
from api.responses import details, local_timestamp
from llmsite.types.codec import go_json
from llmsite.types.limits import KIB
from models_app.services import ShownModel

_COPILOT: Final = "GitHubCopilotChat/"
_PIECE_BYTES: Final = 256 * KIB


def show_response(shown: ShownModel, asked_as: str, user_agent: str) -> HttpResponseBase:
    """The model as JSON. Copilot names models by `general.basename`, so it reads there what it asked for."""
    basename = asked_as if user_agent.startswith(_COPILOT) else ""
    parts = _parts(_frame(shown, basename))
    if sum(map(len, parts)) <= _PIECE_BYTES:
        return HttpResponse(b"".join(parts), content_type=JSON)
    return StreamingHttpResponse(_pieces(parts), content_type=JSON)


def _frame(shown: ShownModel, basename: str) -> dict[str, Any]:
    """Values by key; those that are empty are left out, but for three."""
    metadata = _with_basename(shown.listing.metadata, basename) if basename else shown.listing.metadata
    frame: dict[str, Any] = {
        "license": "\n".join(shown.licenses),
        "modelfile": shown.modelfile,
        "parameters": shown.parameters,
        "template": shown.template,
        "system": shown.system,
        "details": details(shown.details, with_sizes=False),
        "messages": [{"role": each.role, "content": each.content} for each in shown.messages],
        "model_info": metadata,
        "projector_info": shown.projector.metadata if shown.projector else None,
        "tensors": shown.listing.tensors,
        "capabilities": list(shown.capabilities),
        "modified_at": local_timestamp(shown.modified_ns),
        "requires": shown.requires,
    }
    return {key: value for key, value in frame.items() if value}


def _with_basename(metadata: msgspec.Raw, basename: str) -> msgspec.Raw:
    values = msgspec.json.decode(metadata, type=dict[str, msgspec.Raw])
    values["general.basename"] = msgspec.Raw(go_json(basename))
    return msgspec.Raw(go_json(dict(sorted(values.items()))))


def _parts(frame: dict[str, Any]) -> list[memoryview]:
    """The JSON object in parts; what is JSON already is not copied."""
    parts = []
    for number, (key, value) in enumerate(frame.items()):
        parts += [b"{" if number == 0 else b",", go_json(key), b":"]
        parts.append(value if isinstance(value, msgspec.Raw) else go_json(value))
    return [memoryview(each) for each in (*parts, b"}")]


async def _pieces(parts: list[memoryview]) -> AsyncGenerator[bytes, None]:
    """Small enough that a slow reader holds up nobody and nothing piles up for it."""
    for part in parts:
        for start in range(0, len(part), _PIECE_BYTES):
            yield bytes(part[start : start + _PIECE_BYTES])
