"""Makes the rows equal to the manifests on disk: at start, after each change, on demand.

The manifests are the truth. A lost database costs no model, a store that Ollama filled is adopted, and a model that some other
program removed is gone here too. Only manifests that changed are read; a GGUF file is read once, by the inspector.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from django.conf import settings
from django.db import transaction

from llmsite import backend
from llmsite.prompt.capabilities import TemplateFacts, choose_template, inspect_jinja, list_capabilities
from llmsite.store.gguf import GgufFacts
from llmsite.store.manifest import ADAPTER, MODEL, PROJECTOR, encode_manifest
from llmsite.store.manifest_files import ManifestFile
from llmsite.store.model import StoredModel
from llmsite.types.codec import from_builtins, to_builtins
from llmsite.types.errors import LlmsiteError
from models_app.findings import inspect_blobs, inspect_templates
from models_app.models import Blob, Model

logger = logging.getLogger(__name__)

_GGUF: Final = frozenset({MODEL, PROJECTOR, ADAPTER})
_NAME: Final = ("host", "namespace", "model", "tag")
_CHANGING: Final = (
    *("digest", "manifest", "manifest_ns", "manifest_bytes", "error", "template", "system", "parameters", "messages", "licenses"),
    *("details", "capabilities", "size_bytes", "is_pulled"),
)
_Parts = tuple[str, ...]


def sync() -> None:
    """Make rows equal to manifests. Blocks; quick when little changed. What cannot be read gets a row with its error."""
    files = {file.name.parts: file for file in backend.get_store().manifests.files()}
    known = known_files()
    changed = [file for parts, file in files.items() if known.get(parts) != _stamp(file)]
    gone = [parts for parts in known if parts not in files]
    if not changed and not gone:
        return
    loaded = {file.name.parts: _load(file) for file in changed}
    models = [model for model in loaded.values() if isinstance(model, StoredModel)]
    facts = _read_facts(models)
    templates = inspect_templates(backend.get_store().blobs, {model.template for model in models if model.template})
    rows = [_row(files[parts], model, facts, templates) for parts, model in loaded.items()]
    with transaction.atomic():
        for parts in gone:
            Model.objects.filter(**dict(zip(_NAME, parts, strict=True))).delete()
        _write(rows, models, facts)
        Blob.objects.filter(models=None).delete()


def known_files() -> dict[_Parts, tuple[int, int]]:
    """What the rows know of manifest files: name to time of change and size."""
    rows = Model.objects.values_list(*_NAME, "manifest_ns", "manifest_bytes")
    return {row[:4]: (row[4], row[5]) for row in rows}


def is_current() -> bool:
    """Whether the rows equal the manifests. Blocks for as long as it takes to look at every file's time."""
    files = backend.get_store().manifests.files()
    return known_files() == {file.name.parts: _stamp(file) for file in files}


def _stamp(file: ManifestFile) -> tuple[int, int]:
    return file.modified_ns, file.size_bytes


def _load(file: ManifestFile) -> StoredModel | LlmsiteError:
    try:
        return backend.get_store().load(file)
    except LlmsiteError as error:
        logger.warning("model %s cannot be used: %s", file.name.shortest, error)
        return error


def _read_facts(models: Iterable[StoredModel]) -> dict[str, GgufFacts]:
    """Facts of every GGUF blob of these models, from rows where they are known. Files that are refused are left out."""
    wanted = {layer.digest for model in models for layer in model.manifest.layers if layer.media_type in _GGUF}
    facts: dict[str, GgufFacts] = {}
    for digest, stored in Blob.objects.filter(facts__isnull=False).values_list("digest", "facts"):
        if digest in wanted:
            facts[digest] = from_builtins(stored, GgufFacts)
    unknown = sorted(wanted - facts.keys())
    return facts | inspect_blobs(backend.get_store().blobs, unknown)


def _row(
    file: ManifestFile, model: StoredModel | LlmsiteError, facts: dict[str, GgufFacts], templates: dict[str, TemplateFacts]
) -> Model:
    row = Model(**dict(zip(_NAME, file.name.parts, strict=True)), manifest_ns=file.modified_ns, manifest_bytes=file.size_bytes)
    if isinstance(model, LlmsiteError):
        row.error = str(model)
        return row
    weights = facts.get(model.model_digest, GgufFacts())
    details = to_builtins(model.details)
    details["num_ctx"] = details["num_ctx"] or weights.num_ctx_train
    details["num_embd"] = details["num_embd"] or weights.num_embd
    if details["quantization_level"] in ("", "unknown"):
        details["quantization_level"] = weights.file_type
    row.digest = model.digest
    row.manifest = encode_manifest(model.manifest).decode()
    row.template = model.template or ""
    row.system = model.system
    row.parameters = model.parameters
    row.messages = [{"role": each.role, "content": each.content} for each in model.messages]
    row.licenses = list(model.licenses)
    row.details = details
    row.capabilities = list(_capabilities(model, facts, templates))
    row.size_bytes = model.size_bytes
    row.is_pulled = model.is_pulled
    return row


def _capabilities(model: StoredModel, facts: dict[str, GgufFacts], templates: dict[str, TemplateFacts]) -> tuple[str, ...]:
    """What the model can do, in Ollama's order (catalogue 2.15)."""
    gguf = [facts[layer.digest] for layer in model.manifest.layers if layer.digest in facts]
    weights = facts.get(model.model_digest, GgufFacts())
    jinja = inspect_jinja(weights.chat_template) if weights.chat_template else None
    go = templates.get(model.template or "")
    return list_capabilities(
        config=model.config.capabilities,
        has_pooling=weights.has_pooling,
        has_vision=any(each.has_vision for each in gguf),
        has_audio=any(each.has_audio for each in gguf),
        go=go,
        jinja=jinja,
        chosen=choose_template(go, jinja, go_template=settings.LLMSITE_GO_TEMPLATE, is_pulled=model.is_pulled),
    )


def _write(rows: list[Model], models: list[StoredModel], facts: dict[str, GgufFacts]) -> None:
    """Insert or replace these rows, their blobs and who uses which."""
    layers = {layer.digest: layer for model in models for layer in (model.manifest.config, *model.manifest.layers)}
    Blob.objects.bulk_create(
        [
            Blob(digest=digest, size_bytes=layer.size_bytes, facts=to_builtins(facts[digest]) if digest in facts else None)
            for digest, layer in layers.items()
        ],
        update_conflicts=True,
        unique_fields=["digest"],
        update_fields=["size_bytes", "facts"],
    )
    Model.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=_NAME,
        update_fields=_CHANGING,
    )
    by_name = {row.name.parts: row.pk for row in rows}
    uses = Model.blobs.through
    uses.objects.filter(model_id__in=by_name.values()).delete()
    uses.objects.bulk_create(
        uses(model_id=by_name[model.name.parts], blob_id=digest) for model in models for digest in model.manifest.digests
    )
