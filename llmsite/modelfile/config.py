"""The config of a model: what its files, the model it is made from and the request say of it (catalogue 2.18, 10.3). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmsite.store.gguf import GgufFacts
from llmsite.store.stored_model import ModelConfig
from llmsite.types.codec import go_json
from llmsite.types.errors import InvalidModelFile
from llmsite.types.request import CreateRequest


@dataclass(frozen=True, slots=True)
class Habits:
    """What a model of some architecture gets with its GGUF file: Ollama's built-in renderer and parser, and where answers end."""

    handler: str = ""
    stop: tuple[str, ...] = ()


_HABITS: Final = {
    "gemma4": Habits("gemma4", ("<turn|>",)),
    "laguna": Habits("laguna"),
    "nemotron_h": Habits("nemotron-3-nano"),
}


def habits_of(architecture: str) -> Habits:
    """By the architecture's name, or the family it begins with."""
    family = "nemotron_h" if architecture.startswith("nemotron_h") else architecture
    return _HABITS.get(family, Habits())


def decide_config(models: Sequence[GgufFacts], inherited: ModelConfig, request: CreateRequest) -> ModelConfig:
    """The config of a model with these weights. `inherited`: of the model it is made from. Raises `InvalidModelFile`."""
    if not models:
        raise InvalidModelFile("a model needs a GGUF file with a language model")
    info, facts = request.info, models[-1]
    if facts.split_count > 1:
        raise InvalidModelFile(
            f"part {facts.split_index + 1} of a split GGUF is no whole model: all {facts.split_count} are needed"
        )
    named = (info["model_family"],) if info.get("model_family") else ()
    return ModelConfig(
        model_format=inherited.model_format or "gguf",
        model_family=(*named, facts.architecture)[0],
        model_families=tuple(dict.fromkeys((*named, *(each.architecture for each in models)))),
        model_type=info.get("parameter_size") or facts.parameter_size,
        file_type=info.get("quantization_level") or facts.file_type,
        renderer=request.renderer or inherited.renderer,
        parser=request.parser or inherited.parser,
        requires=request.requires or inherited.requires,
        capabilities=tuple(info.get("capabilities") or inherited.capabilities),
        context_length=info.get("context_length", 0),
        embedding_length=info.get("embedding_length", 0),
        base_name=info.get("base_name", ""),
    )


def encode_config(config: ModelConfig) -> bytes:
    """The config blob: keys in Ollama's order, empty ones left out, and the platform that Ollama writes everywhere."""
    document: dict[str, Any] = {
        "model_format": config.model_format,
        "model_family": config.model_family,
        "model_families": config.model_families,
        "model_type": config.model_type,
        "file_type": config.file_type,
    }
    for key in ("renderer", "parser", "requires", "capabilities", "context_length", "embedding_length", "base_name"):
        if value := getattr(config, key):
            document[key] = value
    return go_json(document | {"architecture": "amd64", "os": "linux"}) + b"\n"
