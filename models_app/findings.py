"""What the inspector finds in the files of models: facts of GGUF blobs and of Go templates. Blocks; needs no event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from llmsite.inspector.pool import BlockingInspector
from llmsite.prompt.capabilities import TemplateFacts
from llmsite.prompt.job import RenderJob
from llmsite.store.blobs import BlobStore
from llmsite.store.gguf import GgufFacts
from llmsite.types.codec import from_builtins
from llmsite.types.errors import LlmsiteError, LoadFailed
from models_app.models import Blob

logger = logging.getLogger(__name__)

T = TypeVar("T")


def known_facts(digests: Iterable[str]) -> dict[str, GgufFacts]:
    """What the rows hold of these GGUF blobs; those that nobody has read yet, or that were refused, are left out."""
    rows = Blob.objects.filter(digest__in=list(digests), facts__isnull=False).exclude(facts__architecture="")
    return {digest: from_builtins(facts, GgufFacts) for digest, facts in rows.values_list("digest", "facts")}


def inspect_blobs(blobs: BlobStore, digests: Iterable[str]) -> dict[str, GgufFacts]:
    """Facts of each GGUF blob; those that are missing or refused are left out, with a line in the log."""
    found: dict[str, GgufFacts] = {}
    with LazyInspector(blobs) as inspector:
        for digest in digests:
            facts = _or_none(digest, partial(inspector.read_gguf, digest))
            if facts is not None:
                found[digest] = facts
    return found


def inspect_templates(blobs: BlobStore, sources: Iterable[str]) -> dict[str, TemplateFacts]:
    """Facts of each Go template; those that do not parse are left out, with a line in the log."""
    found: dict[str, TemplateFacts] = {}
    with LazyInspector(blobs) as inspector:
        for source in sources:
            facts = _or_none("a template", partial(inspector.inspect_template, source))
            if facts is not None:
                found[source] = facts
    return found


def _or_none(what: str, question: Callable[[], T]) -> T | None:
    """The answer; None when the thing asked about is refused."""
    try:
        return question()
    except LlmsiteError as error:
        logger.warning("%s cannot be used: %s", what, error)
        return None


class LazyInspector:
    """A child that starts with the first question and anew after a refusal, which it may not have survived."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._stack = ExitStack()
        self._child: BlockingInspector | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def read_gguf(self, digest: str) -> GgufFacts:
        """What a GGUF blob is. Raises `InvalidModelFile`, `NotFound`, `LoadFailed`."""
        path = self._blobs.checked_path(digest)

        def read(child: BlockingInspector) -> GgufFacts:
            try:
                return child.read_gguf(path)
            except OSError as error:
                raise LoadFailed(f"blob {digest} cannot be read: {error.strerror}") from error

        return self._ask(read)

    def inspect_template(self, source: str) -> TemplateFacts:
        """What a Go template can do. Raises `TemplateError`, `TemplateLimit`."""
        return self._ask(lambda child: child.inspect_template(source))

    def render(self, job: RenderJob) -> str:
        """The prompt. Raises `TemplateError`, `TemplateLimit`."""
        return self._ask(lambda child: child.render(job))

    def _ask(self, question: Callable[[BlockingInspector], T]) -> T:
        if self._child is None:
            self._child = self._stack.enter_context(BlockingInspector(self._blobs.limits))
        try:
            return question(self._child)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        self._stack.close()
        self._child = None
