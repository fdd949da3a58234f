"""Creates a model: the text layers and the config of a recipe as blobs, and last the manifest (catalogue 10.2 to 10.4).

The bytes are Ollama's, so that the same recipe has the same digest there and here. The GGUF files are in the store already, and
the caller hands over what the inspector found in them: nothing here opens an untrusted file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llmsite.store import manifest as media
from llmsite.store.blobs import BlobStore
from llmsite.store.gguf import GgufFacts, GgufKind
from llmsite.store.manifest import Layer, Manifest, encode_manifest
from llmsite.store.model import ModelConfig, ModelStore, StoredModel
from llmsite.types.codec import go_json
from llmsite.types.errors import InvalidModelFile
from llmsite.types.message import Message
from llmsite.types.name import ModelName

_MEDIA_TYPES: Final[dict[GgufKind, str]] = {"model": media.MODEL, "projector": media.PROJECTOR, "adapter": media.ADAPTER}


@dataclass(frozen=True, slots=True)
class Part:
    """A GGUF blob of the store and what it is. `source`: the name of the model or of the file it comes from."""

    digest: str
    facts: GgufFacts
    source: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model is made of. Empty texts make no layer."""

    parts: tuple[Part, ...]
    template: str = ""
    system: str = ""
    licenses: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()


def create_model(store: ModelStore, name: ModelName, recipe: Recipe) -> StoredModel:
    """Install `recipe` as `name`, replacing what was there. Blocks. Raises `InvalidModelFile`, `NotFound`, `StorageFull`."""
    layers = [_weights(store.blobs, part) for part in recipe.parts]
    layers += [_put(store.blobs, media_type, data) for media_type, data in _texts(recipe)]
    config = _put(store.blobs, media.CONFIG, encode_config(_config(recipe)))
    return store.write(name, encode_manifest(Manifest(config, tuple(layers))))


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


def _config(recipe: Recipe) -> ModelConfig:
    models = [part.facts for part in recipe.parts if part.facts.kind == "model"]
    if not models:
        raise InvalidModelFile("a model needs a GGUF file with a language model")
    facts = models[-1]
    if facts.split_count > 1:
        raise InvalidModelFile("split GGUF files are not supported yet; merge them with llama-gguf-split first")
    return ModelConfig(
        model_format="gguf",
        model_family=facts.architecture,
        model_families=tuple(dict.fromkeys(each.architecture for each in models)),
        model_type=facts.parameter_size,
        file_type=facts.file_type,
    )


def _texts(recipe: Recipe) -> Iterator[tuple[str, bytes]]:
    """Media type and bytes of each text layer, in the order of the manifest."""
    if recipe.template:
        yield media.TEMPLATE, recipe.template.encode()
    if recipe.system:
        yield media.SYSTEM, recipe.system.encode()
    for license_text in recipe.licenses:
        yield media.LICENSE, license_text.encode()
    if recipe.parameters:
        yield media.PARAMS, go_json(dict(sorted(recipe.parameters.items()))) + b"\n"
    if recipe.messages:
        yield media.MESSAGES, go_json([{"role": each.role, "content": each.content} for each in recipe.messages]) + b"\n"


def _weights(blobs: BlobStore, part: Part) -> Layer:
    return Layer(_MEDIA_TYPES[part.facts.kind], part.digest, blobs.size(part.digest), part.source)


def _put(blobs: BlobStore, media_type: str, data: bytes) -> Layer:
    """The layer of small content, stored unless it is there."""
    digest = blobs.put(data)
    return Layer(media_type, digest, len(data))
