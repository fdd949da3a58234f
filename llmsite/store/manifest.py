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


def _read_document(data: bytes, limits: Limits) -> _Document:
    if len(data) > limits.manifest_bytes:
        raise InvalidModelFile(f"invalid manifest: larger than {limits.manifest_bytes} bytes")
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidModelFile(f"invalid manifest: {error}") from error
    if len(document.layers or ()) > limits.manifest_layers:
        raise InvalidModelFile(f"invalid manifest: more than {limits.manifest_layers} layers")
    return document


def check_manifest(data: bytes, limits: Limits) -> Manifest:
    """A manifest that came from elsewhere (threat T68): stricter than reading what is installed. Raises `InvalidModelFile`."""
    document = _read_document(data, limits)
    if document.version != 2:
        raise InvalidModelFile(f"invalid manifest: schema version {document.version} is not supported")
    manifest = _from_document(document)
    if not manifest.layers:
        raise InvalidModelFile("invalid manifest: it has no layers")
    sizes: dict[str, int] = {}
    for layer in (manifest.config, *manifest.layers):
        if layer.size_bytes > limits.upload_bytes:
            raise InvalidModelFile(f"invalid manifest: layer {layer.digest} is larger than {limits.upload_bytes} bytes")
        if sizes.setdefault(layer.digest, layer.size_bytes) != layer.size_bytes:
            raise InvalidModelFile(f"invalid manifest: layer {layer.digest} stands there with two sizes")
    return manifest


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
    return Manifest(_from_json(document.config), tuple(_from_json(layer) for layer in document.layers or ()))


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
