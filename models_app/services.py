"""What can be done with installed models: list, show, copy, delete. Joins the store and its rows, for REST and pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from asgiref.sync import sync_to_async

from llmsite import backend
from llmsite.modelfile.writer import format_parameter, show_modelfile
from llmsite.prompt.job import PLAIN
from llmsite.store.gguf_listing import GgufListing
from llmsite.store.manifest import DRAFT, PROJECTOR
from llmsite.store.stored_model import StoredModel
from llmsite.types.chunk import ModelDetails
from llmsite.types.codec import from_builtins
from llmsite.types.errors import ModelNotFound
from llmsite.types.gotext import go_quote
from llmsite.types.message import Message
from llmsite.types.name import ModelName
from models_app import catalogue, jobs, tasks
from models_app.listings import Listings
from models_app.models import Model


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model as lists show it. `name` is the shortest form with its tag, `digest` 64 hex, `modified_ns` is since 1970."""

    name: str
    digest: str
    modified_ns: int
    size_bytes: int
    details: ModelDetails
    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownModel:
    """All there is to tell of a model (catalogue 2.15). `parameters` and `modelfile` are texts for people to read."""

    modelfile: str
    parameters: str
    template: str
    system: str
    licenses: tuple[str, ...]
    messages: tuple[Message, ...]
    details: ModelDetails
    listing: GgufListing
    projector: GgufListing | None
    capabilities: tuple[str, ...]
    modified_ns: int
    requires: str


async def list_models() -> list[InstalledModel]:
    """Every usable model, most recently modified first. Looks at the disk first: what others changed there counts."""
    return await sync_to_async(list_models_now)()


def list_models_now() -> list[InstalledModel]:
    """`list_models` for code that may block."""
    if not catalogue.is_current():
        tasks.refresh()
    rows = Model.objects.filter(error="").order_by("-manifest_ns", "id")
    return [
        InstalledModel(
            name=ModelName(*name).shortest,
            digest=digest,
            modified_ns=manifest_ns,
            size_bytes=size_bytes,
            details=from_builtins(details, ModelDetails),
            capabilities=tuple(capabilities),
        )
        for *name, digest, manifest_ns, size_bytes, details, capabilities in rows.values_list(*_LISTED)
    ]


_LISTED: Final = (
    *("host", "namespace", "model", "tag"),
    *("digest", "manifest_ns", "size_bytes", "details", "capabilities"),
)


async def refresh() -> None:
    """Make the rows equal to the disk, after a change that somebody made to the store."""
    await sync_to_async(tasks.refresh)()


_listings: Final = Listings()


async def show_model(
    name: ModelName, *, is_verbose: bool = False, system: str = "", options: Mapping[str, Any] | None = None
) -> ShownModel:
    """Everything about one model. `system` and `options` are laid over its own where the Modelfile is told.

    Raises `ModelNotFound`, `NotFound`, `LoadFailed`, `InvalidModelFile`, `TemplateError`.
    """
    store = backend.get_store()
    stored = await asyncio.to_thread(store.find, name)
    model = await backend.get_resolver().describe(stored, name.shortest)
    inspector = backend.get_inspector()
    listing = await _listings.of(stored.model_digest, store.blobs, inspector, is_verbose=is_verbose)
    projector = None
    if projectors := _digests(stored, PROJECTOR):
        projector = await _listings.of(projectors[0], store.blobs, inspector, is_verbose=is_verbose, is_projector=True)
    details = stored.details
    if details.quantization_level in ("", "unknown"):
        details = replace(details, quantization_level=model.facts.file_type)
    own = _go_template(stored)
    return ShownModel(
        modelfile=_modelfile(stored, system or stored.system, stored.parameters | dict(options or {})),
        parameters="\n".join(_parameter_lines(stored.parameters)),
        template=(model.template_source or "") if model.template and model.template.kind == "jinja" else own,
        system=system or stored.system,
        licenses=stored.licenses,
        messages=stored.messages,
        details=details,
        listing=listing,
        projector=projector,
        capabilities=model.capabilities,
        modified_ns=stored.modified_ns,
        requires=stored.config.requires,
    )


def _go_template(stored: StoredModel) -> str:
    return PLAIN if stored.template is None else stored.template


def _modelfile(stored: StoredModel, system: str, parameters: Mapping[str, Any]) -> str:
    blobs = backend.get_store().blobs
    drafts = _digests(stored, DRAFT)
    return show_modelfile(
        name=stored.name.shortest,
        model_path=str(stored.model_path),
        adapters=[str(path) for path in stored.adapter_paths],
        draft=str(blobs.path(drafts[-1])) if drafts else "",
        projectors=[str(path) for path in stored.projector_paths],
        template=_go_template(stored),
        system=system,
        renderer=stored.config.renderer,
        parser=stored.config.parser,
        parameters=dict(sorted(parameters.items())),
        licenses=stored.licenses,
        messages=stored.messages,
    )


def _digests(stored: StoredModel, media_type: str) -> list[str]:
    return [layer.digest for layer in stored.manifest.layers if layer.media_type == media_type]


def _parameter_lines(parameters: Mapping[str, Any]) -> Iterator[str]:
    """One line a value, texts in quotes (catalogue 2.15)."""
    for key, value in sorted(parameters.items()):
        for each in value if isinstance(value, list) else (value,):
            yield f"{key:<30} {go_quote(each) if isinstance(each, str) else format_parameter(each)}"


async def copy_model(source: ModelName, target: ModelName) -> None:
    """Give a model a second name, replacing what had it. Onto itself nothing happens. Raises `ModelNotFound`."""
    await sync_to_async(_copy)(source, target)


def _copy(source: ModelName, target: ModelName) -> None:
    store = backend.get_store()
    files = store.manifests.find(source), store.manifests.find(target)
    if files[0] is None:
        raise ModelNotFound(f"model '{source.shortest}' not found")
    if files[0] != files[1]:
        store.copy(source, store.canonical(target))
        tasks.refresh()


async def delete_model(name: ModelName) -> None:
    """Remove a model, damaged or not, and the blobs that no other needs. What it is writing now goes on to its end.

    Jobs that make, send or start from it end with `Conflict`. Raises `ModelNotFound`.
    """
    await sync_to_async(_delete)(name)


def _delete(name: ModelName) -> None:
    store = backend.get_store()
    if store.manifests.find(name) is not None:
        jobs.end_for_removal(name)
    store.remove(name)
    tasks.refresh()
