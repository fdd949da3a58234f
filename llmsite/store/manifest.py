"""Manifests: which blobs make a model, as JSON files at `manifests/<host>/<namespace>/<model>/<tag>` (catalogue 10.1, 10.2).

The bytes we write are those that Ollama writes, so a model has the same digest wherever it was made. Bytes that come from a
registry are stored as they came. What the blobs hold is told in `model.py`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from llmsite.store.digest import parse_digest
from llmsite.types.codec import go_json
from llmsite.types.errors import InvalidDigest, InvalidModelFile
from llmsite.types.limits import Limits

MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG: Final = "application/vnd.docker.container.image.v1+json"
MODEL: Final = "application/vnd.ollama.image.model"
PROJECTOR: Final = "application/vnd.ollama.image.projector"
ADAPTER: Final = "application/vnd.ollama.image.adapter"
TEMPLATE: Final = "application/vnd.ollama.image.template"
PROMPT: Final = "application/vnd.ollama.image.prompt"
"""What templates were called once; read as `TEMPLATE`."""
SYSTEM: Final = "application/vnd.ollama.image.system"
PARAMS: Final = "application/vnd.ollama.image.params"
MESSAGES: Final = "application/vnd.ollama.image.messages"
LICENSE: Final = "application/vnd.ollama.image.license"
DRAFT: Final = "application/vnd.ollama.image.draft"
_TENSOR: Final = "application/vnd.ollama.image.tensor"
_LAYER_PREFIX: Final = "application/vnd.ollama.image."
_MOST_BYTES: Final = 2**63 - 1
"""More no file has, nor a column of the database."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob's part in a model. `source` is the key `from`: the model it was taken over from, or a file's name."""

    media_type: str
    digest: str
    size_bytes: int
    source: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The layers of a model in order, and its config."""

    config: Layer
    layers: tuple[Layer, ...]

    @property
    def size_bytes(self) -> int:
        """Sum of all layers and the config, as `/api/tags` counts."""
        return self.config.size_bytes + sum(layer.size_bytes for layer in self.layers)

    @property
    def digests(self) -> frozenset[str]:
        """Every blob the model needs."""
        return frozenset(layer.digest for layer in (self.config, *self.layers))


def encode_manifest(manifest: Manifest) -> bytes:
    """The file's bytes: compact JSON in Go's key order and a newline."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _to_json(manifest.config),
        "layers": [_to_json(layer) for layer in manifest.layers],
    }
    return go_json(document) + b"\n"


def decode_manifest(data: bytes, limits: Limits) -> Manifest:
    """The manifest in `data`; unknown keys are ignored. Raises `InvalidModelFile` saying what is wrong."""
    return _from_document(_read_document(data, limits))


def decode_own(data: bytes) -> Manifest:
    """What `encode_manifest` wrote. It may be longer than what it was made of may be: Go escapes some characters by six."""
    return _from_document(_parse(data))


def check_manifest(data: bytes, limits: Limits) -> Manifest:
    """A manifest that came from elsewhere, of a model that can be installed (threat T68): stricter than reading what is here.

    Raises `InvalidModelFile`, its text `invalid manifest: …` unless the model is of a kind that does not run here.
    """
    document = _read_document(data, limits)
    if document.version != 2:
        raise InvalidModelFile("invalid manifest: only schema version 2 is understood")
    manifest = _from_document(document)
    if not manifest.layers:
        raise InvalidModelFile("invalid manifest: it has no layers")
    sizes: dict[str, int] = {}
    for layer in (manifest.config, *manifest.layers):
        _check_layer(layer, limits)
        if sizes.setdefault(layer.digest, layer.size_bytes) != layer.size_bytes:
            raise InvalidModelFile(f"invalid manifest: layer {layer.digest} stands there with two sizes")
    kinds = {layer.media_type for layer in manifest.layers}
    if _TENSOR in kinds:
        raise InvalidModelFile("this model requires MLX support, but the MLX runtime is not available")
    if not all(kind.startswith(_LAYER_PREFIX) for kind in kinds):
        raise InvalidModelFile("invalid manifest: a layer is not of a kind that models are made of")
    if MODEL not in kinds:
        raise InvalidModelFile("invalid manifest: it has no GGUF layer")
    return manifest


def _check_layer(layer: Layer, limits: Limits) -> None:
    if layer.size_bytes > limits.upload_bytes:
        raise InvalidModelFile(f"invalid manifest: layer {layer.digest} is larger than {limits.upload_bytes} bytes")
    if max(len(text) for text in (layer.media_type, layer.source, layer.name)) > limits.manifest_text:
        raise InvalidModelFile(
            f"invalid manifest: a text of layer {layer.digest} is longer than {limits.manifest_text} characters"
        )


def _read_document(data: bytes, limits: Limits) -> _Document:
    if len(data) > limits.manifest_bytes:
        raise InvalidModelFile(f"invalid manifest: larger than {limits.manifest_bytes} bytes")
    document = _parse(data)
    if len(document.layers or ()) > limits.manifest_layers:
        raise InvalidModelFile(f"invalid manifest: more than {limits.manifest_layers} layers")
    return document


def _parse(data: bytes) -> _Document:
    try:
        return msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidModelFile(f"invalid manifest: {error}") from error
    except RecursionError as error:
        raise InvalidModelFile("invalid manifest: it is nested too deeply") from error


def manifest_digest(data: bytes) -> str:
    """The model's ID: 64 hex characters without a prefix, over the file's bytes."""
    return hashlib.sha256(data).hexdigest()


class _Entry(msgspec.Struct):
    digest: str
    size: int
    media_type: str = msgspec.field(default="", name="mediaType")
    source: str = msgspec.field(default="", name="from")
    name: str = ""


class _Document(msgspec.Struct):
    config: _Entry
    layers: list[_Entry] | None = None
    version: int = msgspec.field(default=0, name="schemaVersion")


def _from_document(document: _Document) -> Manifest:
    manifest = Manifest(_from_json(document.config), tuple(_from_json(layer) for layer in document.layers or ()))
    if manifest.size_bytes > _MOST_BYTES:
        raise InvalidModelFile("invalid manifest: its layers are larger than any disk")
    return manifest


def _to_json(layer: Layer) -> dict[str, Any]:
    entry: dict[str, Any] = {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size_bytes}
    if layer.source:
        entry["from"] = layer.source
    if layer.name:
        entry["name"] = layer.name
    return entry


def _from_json(entry: _Entry) -> Layer:
    try:
        digest = parse_digest(entry.digest)
    except InvalidDigest as error:
        raise InvalidModelFile("invalid manifest: invalid digest format") from error
    if entry.size < 0:
        raise InvalidModelFile("invalid manifest: a layer's size is negative")
    return Layer(entry.media_type, digest, entry.size, entry.source, entry.name)
