"""Creates a model: the text layers and the config of a plan as blobs, and last the manifest (catalogue 10.2 to 10.4).

What the layers are is decided in `plan.py`. The GGUF files are in the store already, and the caller hands over what the inspector
found in them: nothing here opens an untrusted file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from llmsite.modelfile.plan import Base, ModelPlan, PlannedLayer, plan_model
from llmsite.store import manifest as media
from llmsite.store.blobs import BlobStore
from llmsite.store.gguf import GgufFacts, GgufKind
from llmsite.store.manifest import Layer, encode_manifest
from llmsite.store.model import ModelStore
from llmsite.store.stored_model import StoredModel
from llmsite.types.message import Message
from llmsite.types.name import ModelName
from llmsite.types.request import CreateRequest

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


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer whose blob is there. `status` is Ollama's line about it, `is_new` whether its blob was not there before."""

    status: str
    digest: str
    is_new: bool


def create_model(store: ModelStore, name: ModelName, recipe: Recipe) -> StoredModel:
    """Install `recipe` as `name`, replacing what was there. Blocks. Raises `InvalidModelFile`, `NotFound`, `StorageFull`."""
    return store.write(name, store_recipe(store, name, recipe))


def store_recipe(store: ModelStore, name: ModelName, recipe: Recipe) -> bytes:
    """Store all but the manifest; returns its bytes, for `store.write`. Blocks. Raises as `create_model`."""
    request = CreateRequest(
        model=str(name),
        template=recipe.template,
        system=recipe.system,
        licenses=recipe.licenses,
        parameters=dict(recipe.parameters),
        messages=recipe.messages,
    )
    plan = plan_model(gather_parts(store.blobs, recipe.parts), request)
    for _ in store_layers(store.blobs, plan):
        pass
    return encode_manifest(plan.manifest)


def gather_parts(blobs: BlobStore, parts: Sequence[Part]) -> Base:
    """A base of these files, each a layer of its kind. Raises `NotFound`, `LoadFailed`."""
    base = Base()
    for part in parts:
        layer = Layer(_MEDIA_TYPES[part.facts.kind], part.digest, blobs.size(part.digest), part.source)
        base = base.add(layer, part.facts)
    return base


def store_layers(blobs: BlobStore, plan: ModelPlan) -> Iterator[StoredLayer]:
    """Store the texts of a plan, and last its config; one step a layer, in the order of the manifest. Raises `StorageFull`."""
    for planned in (*plan.layers, plan.config):
        yield _store(blobs, planned)


def _store(blobs: BlobStore, planned: PlannedLayer) -> StoredLayer:
    digest = planned.layer.digest
    is_new = planned.is_new or not blobs.has(digest)
    if planned.data is not None:
        blobs.put(planned.data)
    status = f"{'creating new' if is_new else 'using existing'} layer {digest}"
    if planned.template_name:
        status = f"using autodetected template {planned.template_name}"
    return StoredLayer(status, digest, is_new)
