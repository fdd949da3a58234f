"""Makes models: the jobs of kind `create` (catalogue 2.18).

What the layers are is decided in `llmsite/modelfile/plan.py`; here the parts are brought together, and every file and template
that a stranger made is looked at by the inspector or by a limited child. The manifest comes last: until then nothing is changed,
and what was made in vain is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from llmsite import backend
from llmsite.engine.quantize import find_type, merge, quantize
from llmsite.modelfile.create import Part, gather_parts, store_layers
from llmsite.modelfile.plan import Base, ModelPlan, PlannedLayer, inherited_layers, plan_model, with_habits, with_template
from llmsite.store import manifest as media
from llmsite.store.gguf import GgufFacts
from llmsite.store.made_blobs import made_blob
from llmsite.store.manifest import Layer, encode_manifest
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Progress
from llmsite.types.codec import from_builtins
from llmsite.types.errors import Canceled, EngineError, InvalidModelFile, InvalidRequest, TemplateError, TemplateLimit
from llmsite.types.name import ModelName, strip_source
from llmsite.types.request import CreateRequest
from models_app import transfers
from models_app.findings import LazyInspector, known_facts
from models_app.job_run import JobRun
from models_app.model_files import check_adapter, check_format, read_part
from models_app.template_match import find_template

_GGUF: Final = frozenset({media.MODEL, media.PROJECTOR, media.ADAPTER, media.DRAFT})
_PSEUDO_DIGEST: Final = "0" * 19
"""Ollama's, of progress that belongs to no blob yet."""
_UNKNOWN: Final = "unknown"
"""How F32 reads, and a type that the file does not tell (catalogue 10.4): the quantizing child looks at the tensors."""
_PLAIN_TYPES: Final = ("F16", "BF16", _UNKNOWN)


def run(run: JobRun) -> None:
    """Make the model that the job's request asks for. Raises from `types/errors.py`; then the store is as it was."""
    request = from_builtins(run.request, CreateRequest)
    store = backend.get_store().guarded(run.confirm)
    name = store.canonical(ModelName.parse(request.model))
    with LazyInspector(store.blobs) as inspector, _tidy(store) as made:
        work = _Work(run, request, store, inspector, made)
        plan = plan_model(work.base(), request)
        work.store_texts(plan)
        work.write(name, plan)
    run.report(Progress("success"))


Made = dict[str, int]
"""Blobs that were made for this model: digest to when, in nanoseconds."""


@contextmanager
def _tidy(store: ModelStore) -> Iterator[Made]:
    """Takes away again what was made in a block that fails."""
    made: Made = {}
    try:
        yield made
    except BaseException:
        store.discard(made)
        raise


@dataclass(frozen=True, slots=True)
class _Work:
    """One job on its way. `made` collects what it adds to the store."""

    run: JobRun
    request: CreateRequest
    store: ModelStore
    inspector: LazyInspector
    made: Made

    def tell(self, status: str) -> None:
        """A line for whoever watches; ends the job here if it was cancelled. Raises `Canceled`, `JobStopped`."""
        self.run.check()
        self.run.report(Progress(status))

    def base(self) -> Base:
        """Everything the model starts from, brought together. What costs nothing is refused before anything is pulled."""
        request = self.request
        self._check_request()
        self._check_template()
        base = self._base_from_model() if request.source else self._base_from_files(request.files or {})
        base = self._with_draft(self._with_adapters(base))
        quantized = self._quantized(self._quantized(base, media.MODEL, request.quantize), media.DRAFT, request.draft_quantize)
        if not request.source or quantized is not base:
            self.tell("verifying conversion")
        return quantized

    def _check_request(self) -> None:
        """Raise `InvalidRequest` or `EngineError` for what can be seen without reading a file's header."""
        request = self.request
        if not request.source and request.files is None:
            raise InvalidRequest("neither 'from' or 'files' was specified")
        given = (None if request.source else request.files, request.adapters, request.draft_files)
        for files in given:
            if files is not None:
                check_format(self.store.blobs, files)
        if len(request.adapters or ()) > 1:
            raise InvalidRequest("only one adapter is currently supported")
        if request.source:  # of files, Ollama says first that it reads them
            for file_type in filter(None, (request.quantize, request.draft_quantize)):
                find_type(file_type)

    def _check_template(self) -> None:
        if not self.request.template:
            return
        try:
            self.inspector.inspect_template(self.request.template)
        except TemplateLimit:
            raise
        except TemplateError as error:
            raise TemplateError(f"template error: {error}") from error

    # what it starts from

    def _base_from_model(self) -> Base:
        name = ModelName.parse(strip_source(self.request.source))
        if self.store.manifests.find(name) is None:
            transfers.pull_into(self.run, name, insecure=False)
        model = self.store.find(name)
        digests = [layer.digest for layer in model.manifest.layers if layer.media_type in _GGUF]
        facts = known_facts(digests)
        facts |= {digest: self.inspector.read_gguf(digest) for digest in digests if digest not in facts}
        layers = inherited_layers(model.manifest.layers, model.name.shortest)
        return Base(layers, facts, model.config, model.parameters)

    def _base_from_files(self, files: Mapping[str, str]) -> Base:
        parts = self._whole([self._read_part(path, files[path]) for path in sorted(files)])
        base = gather_parts(self.store.blobs, parts)
        if not base.models:
            raise InvalidModelFile("a model needs a GGUF file with a language model")
        base = with_habits(base)
        template = find_template(base.models[-1], self.inspector.render)
        return with_template(base, template) if template else base

    def _whole(self, parts: list[Part]) -> list[Part]:
        """The parts of a split file as the one file they were made of. Raises `InvalidModelFile`."""
        split = [part for part in parts if part.facts.split_count > 1]
        if len(split) < 2:  # one alone is refused with the rest of what a model may be
            return parts
        paths = [self.store.blobs.checked_path(part.digest) for part in split]
        digest, found, _ = self._make(f"merging {len(split)} parts of a split GGUF", partial(merge, paths))
        return [*(part for part in parts if part not in split), Part(digest, found)]

    def _read_part(self, path: str, digest: str) -> Part:
        self.tell("parsing GGUF")
        return read_part(self.store.blobs, path, digest, self.inspector.read_gguf)

    def _with_adapters(self, base: Base) -> Base:
        for path, digest in (self.request.adapters or {}).items():
            part = self._read_part(path, digest)
            check_adapter(path, part.facts, base.models[-1].architecture if base.models else "")
            base = base.add(Layer(media.ADAPTER, digest, part.facts.file_size_bytes, path), part.facts)
        return base

    def _with_draft(self, base: Base) -> Base:
        """A small model that guesses for the large one."""
        for path, digest in sorted((self.request.draft_files or {}).items()):
            part = self._read_part(path, digest)
            if part.facts.kind != "model":
                raise InvalidModelFile(f'the draft "{path}" is no language model')
            base = base.add(Layer(media.DRAFT, digest, part.facts.file_size_bytes), part.facts)
        return base

    # quantizing

    def _quantized(self, base: Base, media_type: str, wanted: str) -> Base:
        """The base with its models in another type, where they are of another one. Raises `EngineError`."""
        if not wanted:
            return base
        file_type, _ = find_type(wanted)
        for layer in [each.layer for each in base.layers if each.layer.media_type == media_type]:
            facts = base.facts[layer.digest]
            if facts.file_type not in _PLAIN_TYPES:
                raise EngineError("quantization is only supported for F16, BF16 and F32 models")
            if facts.file_type != file_type:
                base = base.swap(layer, *self._quantize(layer, facts, file_type))
        return base

    def _quantize(self, layer: Layer, facts: GgufFacts, file_type: str) -> tuple[PlannedLayer, GgufFacts]:
        source_type = "F32" if facts.file_type == _UNKNOWN else facts.file_type
        work = partial(quantize, self.store.blobs.checked_path(layer.digest), file_type=file_type)
        digest, found, is_new = self._make(f"quantizing {source_type} model to {file_type}", work)
        return PlannedLayer(Layer(layer.media_type, digest, found.file_size_bytes), is_new=is_new), found

    def _make(self, status: str, work: Callable[..., None]) -> tuple[str, GgufFacts, bool]:
        """Have a limited child make a blob, telling how far it is; returns digest, facts, and whether it is new."""

        def tell(completed: int, total: int) -> None:
            self.run.report(Progress(status, _PSEUDO_DIGEST, total, completed))

        is_stopping = self.run.is_stopping.is_set
        with made_blob(self.store.blobs) as made:
            try:
                work(target=made.path, on_progress=tell, is_canceled=is_stopping, limits=self.store.limits)
            except Canceled:
                self.run.check()  # says whether for good
                raise
            digest, is_new = made.adopt(self.run.check)
        if is_new:
            self._note(digest)
        return digest, self.inspector.read_gguf(digest), is_new

    # storing

    def store_texts(self, plan: ModelPlan) -> None:
        """Store what is small, telling of each layer."""
        for stored in store_layers(self.store.blobs, plan):
            if stored.is_new:
                self._note(stored.digest)
            if stored.digest != plan.config.layer.digest:
                self.tell(stored.status)

    def write(self, name: ModelName, plan: ModelPlan) -> None:
        """The step that makes it a model."""
        self.tell("writing manifest")
        try:
            self.store.write(name, encode_manifest(plan.manifest))
        except BaseException:
            for digest in list(self.made):  # it touched what it would have used
                self._note(digest)
            raise

    def _note(self, digest: str) -> None:
        """Remember a blob as made here, to be taken away if this fails."""
        if (modified_ns := self.store.blobs.modified_ns(digest)) is not None:
            self.made[digest] = modified_ns
