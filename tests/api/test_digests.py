"""Sixty texts that are no digests × every place that takes one: refused, and nothing of the disk is looked at (threat T01).

What pushes bring to this site as a registry is in `tests/api/test_registry.py`, which has a store with open uploads.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from api.create_request import parse_create
from llmsite import backend
from llmsite.store import manifest as media
from llmsite.store.blobs import BlobStore
from llmsite.store.digest import parse_digest
from llmsite.store.manifest import decode_manifest
from llmsite.types.errors import InvalidModelFile, InvalidRequest
from llmsite.types.limits import Limits
from tests.api.asgi_client import call
from tests.store.digests import BAD_DIGESTS, NUL_DIGESTS

LIMITS = Limits()
GOOD = "sha256:" + "0" * 64
MEDIA_TYPES = (
    *(media.MODEL, media.PROJECTOR, media.ADAPTER, media.TEMPLATE, media.PROMPT, media.SYSTEM, media.PARAMS),
    *(media.MESSAGES, media.LICENSE, media.DRAFT, "application/vnd.ollama.image.tensor", "text/plain", ""),
)

_seen: list[str] | None = None
"""Paths that file-system calls were made with, while somebody looks."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event.startswith(("open", "os.", "shutil.", "tempfile.", "glob.")):
        _seen.extend(os.fsdecode(each) for each in arguments if isinstance(each, str | bytes | Path))


sys.addaudithook(_audit)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty store whose every file-system call is noted; audit hooks do not see `stat`."""
    global _seen
    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, _noting(getattr(os, name)))
    with override_settings(LLMSITE_MODELS=tmp_path):
        backend.get_store()
        _seen = []
        yield tmp_path
        _seen = None


def _noting(look: Callable[..., Any]) -> Callable[..., Any]:
    def noted(path: Any, *args: Any, **kwargs: Any) -> Any:
        if _seen is not None and isinstance(path, str | bytes | Path):
            _seen.append(os.fsdecode(path))
        return look(path, *args, **kwargs)

    return noted


def assert_nothing_was_looked_at(store: Path, digest: str) -> None:
    assert _seen is not None
    paths = [path for path in _seen if path.startswith(str(store)) or (len(digest) > 12 and digest in path)]
    assert paths == [], digest
    _seen.clear()


def test_the_notes_are_taken(store: Path) -> None:
    blobs = backend.get_store().blobs
    for act in (blobs.has, blobs.put):
        act(GOOD if act == blobs.has else b"x")
        with pytest.raises(AssertionError):
            assert_nothing_was_looked_at(store, GOOD)
        assert _seen is not None
        _seen.clear()


def _of_blobs(act: Callable[[BlobStore, str], Any]) -> Callable[[str], Any]:
    return lambda digest: act(backend.get_store().blobs, digest)


def _write(blobs: BlobStore, digest: str) -> None:
    with blobs.writer(digest):
        pass


def _layers(digest: str) -> None:
    """Every layer of every kind, and the config."""
    good = {"mediaType": media.CONFIG, "digest": GOOD, "size": 1}
    bad = good | {"digest": digest}
    documents = [{"config": bad}, *({"config": good, "layers": [good, bad | {"mediaType": each}]} for each in MEDIA_TYPES)]
    for document in documents[1:]:
        with pytest.raises(InvalidModelFile, match="invalid digest format"):
            decode_manifest(json.dumps(document).encode(), LIMITS)
    decode_manifest(json.dumps(documents[0]).encode(), LIMITS)


def _create(key: str) -> Callable[[str], Any]:
    return lambda digest: parse_create(json.dumps({"model": "m", key: {"x.gguf": digest}}).encode(), LIMITS)


_BLOB_METHODS = (
    *("path", "has", "size", "checked_path", "open", "touch", "remove"),
    *("verify", "is_verified", "modified_ns", "put_aside"),
)
ENTRIES: dict[str, Callable[[str], Any]] = {
    "parse_digest": parse_digest,
    **{f"blobs.{name}": _of_blobs(lambda blobs, digest, name=name: getattr(blobs, name)(digest)) for name in _BLOB_METHODS},
    "blobs.writer": _of_blobs(_write),
    "manifest": _layers,
    **{f"create {key}": _create(key) for key in ("files", "adapters", "draft_files")},
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_T01_no_entry_takes_what_is_no_digest(store: Path, entry: str) -> None:
    for digest in (*BAD_DIGESTS, *NUL_DIGESTS):
        with pytest.raises(InvalidRequest, match=r"invalid digest format|text contains an invalid character"):
            ENTRIES[entry](digest)
        assert_nothing_was_looked_at(store, digest)


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/api/blobs/"), ("POST", "/api/blobs/"), ("GET", "/v2/library/m/blobs/")])
async def test_T01_no_route_takes_what_is_no_digest(store: Path, method: str, path: str) -> None:
    for digest in BAD_DIGESTS:
        reply = await call(method, path + digest.replace("?", "%3F"), b"hello")
        assert reply.status == 400, digest
        assert_nothing_was_looked_at(store, digest)


@pytest.mark.parametrize("key", ["files", "adapters", "draft_files"])
async def test_T01_create_answers_400_before_it_looks(store: Path, key: str) -> None:
    for digest in BAD_DIGESTS:
        reply = await call("POST", "/api/create", {"model": "m", key: {"x.gguf": digest}})
        assert (reply.status, reply.json) == (400, {"error": "invalid digest format"}), digest
        assert_nothing_was_looked_at(store, digest)
