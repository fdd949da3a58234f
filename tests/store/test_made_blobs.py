"""Blobs that another process makes: what they become when the same blob comes or goes meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsite.store.blobs import BlobStore
from llmsite.store.digest import hash_bytes
from llmsite.store.made_blobs import made_blob

DATA = b"made"


def make(blobs: BlobStore) -> tuple[str, bool]:
    with made_blob(blobs) as made:
        made.path.write_bytes(DATA)
        return made.adopt(lambda: None)


def test_the_first_is_new_and_the_second_is_the_first(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    assert make(blobs) == (hash_bytes(DATA), True)
    assert make(blobs) == (hash_bytes(DATA), False)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [DATA]


def test_a_blob_that_is_swept_as_it_is_touched_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = BlobStore(tmp_path)
    make(blobs)
    touch = blobs.touch

    def sweep_and_touch(digest: str) -> None:
        blobs.remove(digest)
        touch(digest)

    monkeypatch.setattr(blobs, "touch", sweep_and_touch)
    assert make(blobs) == (hash_bytes(DATA), True)
    assert blobs.path(hash_bytes(DATA)).read_bytes() == DATA
