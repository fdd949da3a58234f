"""Makes the rows equal to the manifests on disk: at start, after each change, on demand.

The manifests are the truth. A lost database costs no model, a store that Ollama filled is adopted, and a model that some other
program removed is gone here too. Only manifests that changed are read; a GGUF file is read once, by the inspector.

A store of a thousand foreign models takes minutes to look into. So its models are listed at once, with what their manifests and
configs tell, and `complete` adds what their GGUF files tell, batch by batch. What a model can do is left open until then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Final

from django.conf import settings
from django.db import transaction

from llmsite import backend
from llmsite.prompt.capabilities import TemplateFacts, choose_template, inspect_jinja, is_harmony, list_capabilities
from llmsite.store.gguf import GgufFacts
from llmsite.store.manifest import ADAPTER, MODEL, PROJECTOR, Manifest, decode_own, encode_manifest
from llmsite.store.manifest_files import ManifestFile
from llmsite.store.stored_model import StoredModel
from llmsite.types.codec import to_builtins
from llmsite.types.errors import LlmsiteError
from llmsite.types.name import ModelName
from models_app.findings import inspect_blobs, inspect_templates, known_facts
from models_app.models import Blob, Model

logger = logging.getLogger(__name__)

_GGUF: Final = frozenset({MODEL, PROJECTOR, ADAPTER})
_NAME: Final = ("host", "namespace", "model", "tag")
_CHANGING: Final = (
    *("digest", "manifest", "manifest_ns", "manifest_bytes", "error", "template", "system", "parameters", "messages", "licenses"),
    *("details", "capabilities", "size_bytes", "is_pulled"),
)
_Parts = tuple[str, ...]
_PATIENCE_SECONDS: Final = 1.0
_BATCH: Final = 16


def sync() -> None:
    """Make rows equal to manifests, and read every GGUF file. Blocks; quick when little changed."""
    sync_quickly()
    complete()


def sync_quickly(patience_seconds: float = _PATIENCE_SECONDS) -> bool:
    """Make rows equal to manifests; returns whether there is nothing left for `complete`.

    New GGUF files are read for so long, at least one unless it is 0, those of the newest models first. What cannot be read
    gets a row with its error.
    """
    files = {file.name.parts: file for file in backend.get_store().manifests.files()}
    known = known_files()
    changed = [file for parts, file in files.items() if known.get(parts) != _stamp(file)]
    gone = [parts for parts in known if parts not in files]
    if not changed and not gone:
        return True
    return _rewrite(changed, gone, patience_seconds)


def complete() -> None:
    """Read the GGUF files that `sync_quickly` left, and tell what their models can do. Blocks for as long as that takes."""
    manifests = backend.get_store().manifests
    while names := _unread_models()[:_BATCH]:
        files = [file for name in names if (file := manifests.find(name)) is not None]
        if not files:
            return  # they are gone, as the next sync sees
        _rewrite(files, (), float("inf"))


def rebuild(doubtful: Iterable[str] = ()) -> None:
    """Make all rows anew from the manifests, whatever they say now. `doubtful`: blobs whose facts cannot be believed. Blocks."""
    Blob.objects.filter(digest__in=list(doubtful)).update(facts=None)
    files = list(backend.get_store().manifests.files())
    there = {file.name.parts for file in files}
    _rewrite(files, [parts for parts in known_files() if parts not in there], float("inf"))


def adopt() -> None:
    """Give blobs that an old release of Ollama left their present names (catalogue 10.1)."""
    backend.get_store().blobs.adopt()


def _unread_models() -> list[ModelName]:
    """Models with a GGUF file that nobody has looked into yet, newest first."""
    unread = set(Blob.objects.filter(facts__isnull=True).values_list("digest", flat=True))
    rows = Model.objects.filter(error="").order_by("-manifest_ns").values_list(*_NAME, "manifest")
    return [ModelName(*row[:4]) for row in rows if unread & _gguf_digests(decode_own(row[4].encode()))]


def _rewrite(files: Iterable[ManifestFile], gone: Iterable[_Parts], patience_seconds: float) -> bool:
    """Make the rows of these manifests anew; returns whether all their GGUF files have been read."""
    loaded = {file: _load(file) for file in files}
    models = [model for model in loaded.values() if isinstance(model, StoredModel)]
    facts = _read_facts(models, patience_seconds)
    templates = inspect_templates(backend.get_store().blobs, {model.template for model in models if model.template})
    rows = [_row(file, model, facts, templates) for file, model in loaded.items()]
    with transaction.atomic():
        for parts in gone:
            Model.objects.filter(**dict(zip(_NAME, parts, strict=True))).delete()
        _write(rows, models, facts)
        Blob.objects.filter(models=None).delete()
    return all(_gguf_digests(model.manifest) <= facts.keys() for model in models)


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


def _gguf_digests(manifest: Manifest) -> set[str]:
    return {layer.digest for layer in manifest.layers if layer.media_type in _GGUF}


def _read_facts(models: Iterable[StoredModel], patience_seconds: float) -> dict[str, GgufFacts]:
    """Facts of the GGUF blobs of these models, from rows where they are known. A file that is refused has empty ones.

    Those for which there was no time are left out.
    """
    newest = sorted(models, key=lambda model: model.modified_ns, reverse=True)
    wanted = list(dict.fromkeys(digest for model in newest for digest in sorted(_gguf_digests(model.manifest))))
    known = known_facts(wanted)
    asked: list[str] = []
    deadline = time.monotonic() + patience_seconds

    def unread() -> Iterator[str]:
        for digest in wanted:
            if digest in known:
                continue
            if not patience_seconds or (asked and time.monotonic() >= deadline):
                return
            asked.append(digest)
            yield digest

    found = inspect_blobs(backend.get_store().blobs, unread())
    return known | dict.fromkeys(asked, GgufFacts()) | found


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
    """What the model can do, in Ollama's order (catalogue 2.15); as far as its config says while a file is unread."""
    if not _gguf_digests(model.manifest) <= facts.keys():
        return model.config.capabilities
    gguf = [facts[digest] for digest in _gguf_digests(model.manifest)]
    weights = facts.get(model.model_digest, GgufFacts())
    jinja = inspect_jinja(weights.chat_template) if weights.chat_template else None
    go = templates.get(model.template or "")
    return list_capabilities(
        config=model.config.capabilities,
        has_pooling=weights.has_pooling,
        has_vision=weights.has_vision or bool(model.projector_paths),
        has_audio=any(each.has_audio for each in gguf),
        go=go,
        jinja=jinja,
        chosen=choose_template(
            go,
            jinja,
            go_template=settings.LLMSITE_GO_TEMPLATE,
            is_pulled=model.is_pulled,
            is_harmony=is_harmony(model.config.model_family, model.template),
            renderer=model.config.renderer,
            parser=model.config.parser,
        ),
        parser=model.config.parser,
        family=model.config.model_family,
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
