"""StoredModel: an installed name resolved to weight paths, texts and parameters; ModelStore: all of them, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmsite.store.blobs import BlobStore
from llmsite.store.manifest import Manifest
from llmsite.types.chunk import ModelDetails
from llmsite.types.limits import Limits
from llmsite.types.message import Message
from llmsite.types.name import ModelName


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The config blob (catalogue 10.3), without what only registries read."""

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
    """What a manifest and its small blobs say. `digest` is 64 hex; `modified_at` is seconds since 1970."""

    name: ModelName
    digest: str
    manifest: Manifest
    config: ModelConfig
    modified_at: float
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
        raise NotImplementedError


class ModelStore:
    """The models under `root` (`manifests/` and `blobs/`), by name. The manifest file is the commit point of a model."""

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.root = root
        self.limits = limits or Limits()
        self.blobs = BlobStore(root / "blobs", self.limits)

    def find(self, name: ModelName | str) -> StoredModel:
        """The model of that name, letter case aside. Raises `InvalidModelName` or `ModelNotFound` with the name as given."""
        raise NotImplementedError

    def list(self) -> list[StoredModel]:
        """All readable models, newest first. Blocks; quick for those that have not changed."""
        raise NotImplementedError

    def write(self, name: ModelName, manifest: bytes) -> StoredModel:
        """Install or replace: the bytes become the manifest. Its blobs must be there."""
        raise NotImplementedError

    def remove(self, name: ModelName) -> None:
        """Remove the manifest and the blobs nobody else uses."""
        raise NotImplementedError

    def copy(self, source: ModelName, target: ModelName) -> StoredModel:
        """The same bytes under another name."""
        raise NotImplementedError
