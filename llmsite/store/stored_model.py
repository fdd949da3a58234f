"""StoredModel: what a manifest and its small blobs say; an installed name resolved to weight paths, texts and parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from llmsite.store import manifest as media
from llmsite.store.blobs import BlobStore
from llmsite.store.manifest import Layer, Manifest, manifest_digest
from llmsite.store.manifest_files import ManifestFile
from llmsite.types.chunk import ModelDetails
from llmsite.types.errors import InvalidModelFile, LoadFailed
from llmsite.types.message import Message, decode_message
from llmsite.types.name import ModelName


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """A manifest once read. `digest` is 64 hex over its bytes, `is_pulled` as in `StoredModel`."""

    digest: str
    manifest: Manifest
    is_pulled: bool

    @classmethod
    def of(cls, data: bytes, manifest: Manifest) -> ReadManifest:
        """The file that holds `data`."""
        return cls(manifest_digest(data), manifest, is_pulled=data[-1:] != b"\n")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The config blob (catalogue 10.3) without what only registries read; key order is the order on disk."""

    model_format: str = ""
    model_family: str = ""
    model_families: tuple[str, ...] | None = None
    model_type: str = ""
    file_type: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    capabilities: tuple[str, ...] = ()
    context_length: int = 0
    embedding_length: int = 0
    base_name: str = ""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """What a manifest and its small blobs say. `digest` is 64 hex; `modified_ns` is nanoseconds since 1970.

    `is_pulled`: the manifest came from a registry. Those that are written here or by Ollama end in a newline (catalogue 10.2).
    """

    name: ModelName
    digest: str
    manifest: Manifest
    is_pulled: bool
    config: ModelConfig
    modified_ns: int
    model_path: Path
    model_digest: str
    projector_paths: tuple[Path, ...] = ()
    adapter_paths: tuple[Path, ...] = ()
    parent_model: str = ""
    template: str | None = None
    system: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    licenses: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return self.manifest.size_bytes

    @property
    def details(self) -> ModelDetails:
        """As far as the config tells; context and embedding lengths usually stand in the GGUF only."""
        return ModelDetails(
            parent_model=self.parent_model,
            format=self.config.model_format,
            family=self.config.model_family,
            families=self.config.model_families,
            parameter_size=self.config.model_type,
            quantization_level=self.config.file_type,
            num_ctx=self.config.context_length,
            num_embd=self.config.embedding_length,
        )


_TEXTS: Final = (media.TEMPLATE, media.SYSTEM, media.PARAMS, media.MESSAGES, media.LICENSE)


def resolve(file: ManifestFile, read: ReadManifest, blobs: BlobStore) -> StoredModel:
    """The model of a manifest; the last layer of a kind counts, except adapters, projectors and licences. Reads its texts."""
    layers: dict[str, list[Layer]] = {}
    for layer in read.manifest.layers:
        kind = media.TEMPLATE if layer.media_type == media.PROMPT else layer.media_type
        layers.setdefault(kind, []).append(layer)
    if media.MODEL not in layers:
        raise InvalidModelFile(f"model '{file.name.shortest}' has no GGUF layer")
    texts = {kind: [_read_text(file.name, layer, blobs) for layer in layers.get(kind, ())] for kind in _TEXTS}
    weights = layers[media.MODEL][-1]
    return StoredModel(
        name=file.name,
        digest=read.digest,
        manifest=read.manifest,
        is_pulled=read.is_pulled,
        config=_decode(_read_text(file.name, read.manifest.config, blobs), ModelConfig, "config"),
        modified_ns=file.modified_ns,
        model_path=blobs.path(weights.digest),
        model_digest=weights.digest,
        projector_paths=tuple(blobs.path(layer.digest) for layer in layers.get(media.PROJECTOR, ())),
        adapter_paths=tuple(blobs.path(layer.digest) for layer in layers.get(media.ADAPTER, ())),
        parent_model=weights.source,
        template=texts[media.TEMPLATE][-1] if texts[media.TEMPLATE] else None,
        system=texts[media.SYSTEM][-1] if texts[media.SYSTEM] else "",
        parameters=_decode(texts[media.PARAMS][-1], dict[str, Any], "parameters") if texts[media.PARAMS] else {},
        messages=_messages(texts[media.MESSAGES]),
        licenses=tuple(texts[media.LICENSE]),
    )


def _read_text(name: ModelName, layer: Layer, blobs: BlobStore) -> str:
    """A small blob of the model of that name. Raises `InvalidModelFile`, `NotFound`, `LoadFailed`."""
    if layer.size_bytes > blobs.limits.layer_text_bytes:
        raise InvalidModelFile(f"layer {layer.digest} is larger than the {blobs.limits.layer_text_bytes} bytes a text may have")
    try:
        with blobs.open(layer.digest) as file:
            return file.read(blobs.limits.layer_text_bytes).decode(errors="replace")
    except OSError as error:
        raise LoadFailed(f"blob {layer.digest} of '{name.shortest}' cannot be read: {error.strerror}") from error


def _messages(texts: list[str]) -> tuple[Message, ...]:
    if not texts:
        return ()
    turns = _decode(texts[-1], list[dict[str, Any]], "messages")
    return tuple(decode_message(turn) for turn in turns)


def _decode(text: str, kind: type[Any], what: str) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidModelFile(f"the {what} of the model cannot be read: {error}") from error
    except RecursionError as error:
        raise InvalidModelFile(f"the {what} of the model cannot be read: nested too deeply") from error
