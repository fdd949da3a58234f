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
from llmsite.store.blobs import BlobStore
from llmsite.store.gguf import GgufFacts
from llmsite.types.errors import LlmsiteError

logger = logging.getLogger(__name__)

T = TypeVar("T")


def inspect_blobs(blobs: BlobStore, digests: Iterable[str]) -> dict[str, GgufFacts]:
    """Facts of each GGUF blob; those that are missing or refused are left out, with a line in the log."""
    found: dict[str, GgufFacts] = {}
    with _Inspector(blobs) as inspector:
        for digest in digests:
            facts = inspector.ask(digest, partial(_read_gguf, blobs, digest))
            if facts is not None:
                found[digest] = facts
    return found


def inspect_templates(blobs: BlobStore, sources: Iterable[str]) -> dict[str, TemplateFacts]:
    """Facts of each Go template; those that do not parse are left out, with a line in the log."""
    found: dict[str, TemplateFacts] = {}
    with _Inspector(blobs) as inspector:
        for source in sources:
            facts = inspector.ask("a template", partial(_inspect_go, source))
            if facts is not None:
                found[source] = facts
    return found


def _read_gguf(blobs: BlobStore, digest: str, child: BlockingInspector) -> GgufFacts:
    return child.read_gguf(blobs.checked_path(digest))


def _inspect_go(source: str, child: BlockingInspector) -> TemplateFacts:
    return child.inspect_template(source)


class _Inspector:
    """A child that starts with the first question and anew after a refusal, which it may not have survived."""

    def __init__(self, blobs: BlobStore) -> None:
        self._limits = blobs.limits
        self._stack = ExitStack()
        self._child: BlockingInspector | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def ask(self, what: str, question: Callable[[BlockingInspector], T]) -> T | None:
        """The answer; None when the thing asked about is refused."""
        try:
            if self._child is None:
                self._child = self._stack.enter_context(BlockingInspector(self._limits))
            return question(self._child)
        except (LlmsiteError, FileNotFoundError) as error:
            logger.warning("%s cannot be used: %s", what, error)
            self._close()
            return None

    def _close(self) -> None:
        self._stack.close()
        self._child = None
