"""The files of a create request: what each of them is, told by its name, its first bytes and the inspector (catalogue 2.18)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from llmsite.modelfile.create import Part
from llmsite.store.blobs import BlobStore
from llmsite.store.gguf import GgufFacts
from llmsite.types.errors import InvalidModelFile, InvalidRequest, LoadFailed, NotFound

_MAGIC: Final = b"GGUF"
_SAFETENSORS: Final = "converting safetensors is not supported yet; convert it to GGUF first"

Read = Callable[[str], GgufFacts]
"""Facts of a blob by its digest, from the inspector."""


def check_format(blobs: BlobStore, files: Mapping[str, str]) -> None:
    """Raise `InvalidRequest` unless these look like GGUF files. A name that ends in .gguf is believed for the moment."""
    if not files:
        raise InvalidRequest("no files provided to convert")
    if any(path.endswith(".safetensors") for path in files):
        raise InvalidRequest(_SAFETENSORS)
    if not any(path.endswith(".gguf") or _starts_as_gguf(blobs, digest) for path, digest in files.items()):
        raise InvalidRequest("unknown type")


def read_part(blobs: BlobStore, path: str, digest: str, read: Read) -> Part:
    """What one file is. Raises `LoadFailed` when it was never uploaded, `InvalidRequest`, `InvalidModelFile`."""
    try:
        blobs.touch(digest)  # from here on a sweep leaves it until the model is made
    except NotFound as error:
        raise LoadFailed(f"open {digest}: no such file or directory") from error
    if not _starts_as_gguf(blobs, digest):
        raise InvalidRequest("supplied file was not in GGUF format")
    facts = read(digest)
    return Part(digest, facts, "" if facts.kind == "model" else path)


def check_adapter(path: str, facts: GgufFacts, architecture: str) -> None:
    """Raise `InvalidModelFile` for what is no adapter, or not one of a model of this architecture."""
    if facts.kind != "adapter":
        raise InvalidModelFile(f'"{path}" is no adapter but a {facts.kind}')
    if facts.architecture != architecture:
        raise InvalidModelFile(f'the adapter "{path}" is for {facts.architecture} models, and this is a {architecture} model')


def _starts_as_gguf(blobs: BlobStore, digest: str) -> bool:
    try:
        with blobs.open(digest) as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except NotFound:
        return False
