"""HEAD and POST /api/blobs/:digest: catalogue 2.19, threats T01, T05, T06, and uploads that stop half way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.http import HttpResponse
from django.test import AsyncRequestFactory, override_settings

from api.views.blobs import blob
from llmsite import backend
from llmsite.store.blob_writer import BlobWriter
from llmsite.store.blobs import BlobStore
from llmsite.store.digest import hash_bytes
from llmsite.types.errors import StorageFull
from tests.api.asgi_client import call
from tests.store.digests import BAD_DIGESTS

JSON = "application/json; charset=utf-8"
HELLO = hash_bytes(b"hello")
ROWS = {
    row["name"]: row
    for row in map(json.loads, (Path(__file__).parents[1] / "data/ollama/transcripts.jsonl").read_text().splitlines())
    if row["name"].startswith("blob.")
}


@pytest.fixture(autouse=True)
def blobs(tmp_path: Path) -> Iterator[BlobStore]:
    with override_settings(LLMSITE_MODELS=tmp_path):
        yield backend.get_store().blobs


def files(blobs: BlobStore) -> set[str]:
    return {path.name for path in blobs.folder.iterdir()} if blobs.folder.exists() else set()


async def upload(digest: str, pieces: AsyncIterator[bytes]) -> HttpResponse:
    """POST as the site's server hands it over: the body as an iterator in the scope."""
    request = AsyncRequestFactory().post(f"/api/blobs/{quote(digest)}")
    request.scope["body"] = pieces
    response = await blob(request, digest)
    assert isinstance(response, HttpResponse)
    return response


async def in_pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[start : start + size]


@pytest.mark.parametrize("name", ROWS)
async def test_2_19_it_answers_as_ollama(blobs: BlobStore, name: str) -> None:
    row = ROWS[name]
    if name in ("blob.post", "blob.post_again", "blob.head"):  # recorded on a store that had it already
        blobs.put(b"hello")
    reply = await call(row["method"], row["path"], (row["body"] or "").encode())
    assert (reply.status, reply.headers.get("content-type", "")) == (row["status"], row["type"])
    assert (json.loads(reply.body) if reply.body else "") == row["answer"]


async def test_2_19_a_new_blob_is_created_and_then_there(blobs: BlobStore) -> None:
    path = f"/api/blobs/{HELLO}"
    assert (await call("HEAD", path)).status == 404
    created = await call("POST", path, b"hello")
    assert (created.status, created.body, created.headers.get("content-type")) == (201, b"", None)
    assert (await call("POST", path, b"hello")).status == 200
    assert (await call("HEAD", path)).status == 200
    assert (await call("HEAD", path.replace("sha256:", "sha256-"))).status == 200
    assert files(blobs) == {HELLO.replace(":", "-")}


async def test_2_19_the_dash_form_always_mismatches(blobs: BlobStore) -> None:
    dashed = HELLO.replace(":", "-")
    reply = await call("POST", f"/api/blobs/{dashed}", b"hello")
    assert (reply.status, reply.json) == (400, {"error": f'digest mismatch, expected "{dashed}", got "{HELLO}"'})
    assert files(blobs) == set()


@pytest.mark.parametrize("method", ["HEAD", "POST"])
@pytest.mark.parametrize("digest", BAD_DIGESTS, ids=ascii)
async def test_T01_bad_digests_are_refused(blobs: BlobStore, method: str, digest: str) -> None:
    reply = await call(method, f"/api/blobs/{digest}".replace("?", "%3F"), b"hello")
    assert (reply.status, reply.headers["content-type"]) == (400, JSON)
    assert method == "HEAD" or reply.json == {"error": "invalid digest format"}
    assert not blobs.folder.exists()


@pytest.mark.parametrize("data", [b"hellp", b"hell", b"hello!", b""], ids=["changed", "truncated", "extended", "empty"])
async def test_T05_other_bytes_are_discarded(blobs: BlobStore, data: bytes) -> None:
    reply = await call("POST", f"/api/blobs/{HELLO}", data)
    assert (reply.status, reply.headers["content-type"]) == (400, JSON)
    assert reply.json == {"error": f'digest mismatch, expected "{HELLO}", got "{hash_bytes(data)}"'}
    assert files(blobs) == set()


async def test_T06_a_false_upload_beside_a_true_one(blobs: BlobStore) -> None:
    for _ in range(20):
        right, wrong = os.urandom(20_000), os.urandom(20_000)
        digest = hash_bytes(right)
        replies = await asyncio.gather(*(upload(digest, in_pieces(data)) for data in (wrong, right, wrong)))
        assert [reply.status_code for reply in replies] == [400, 201, 400]
        with blobs.open(digest) as file:
            assert hash_bytes(file.read()) == digest


async def test_a_streamed_body_is_never_held_whole(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces go to the disk while later ones arrive: the reader is never more than a few pieces ahead of the writer."""
    piece, count, ahead, sent, written = b"x" * 300_000, 60, 0, 0, 0

    write = BlobWriter.write

    def count_written(writer: BlobWriter, data: bytes) -> None:
        nonlocal written
        write(writer, data)
        written += len(data)

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent, ahead
        for _ in range(count):
            ahead = max(ahead, sent - written)
            yield piece
            sent += len(piece)

    monkeypatch.setattr(BlobWriter, "write", count_written)
    digest = f"sha256:{hashlib.sha256(piece * count).hexdigest()}"
    assert (await upload(digest, body())).status_code == 201
    assert blobs.size(digest) == len(piece) * count == written
    assert ahead < 4 << 20


async def test_a_client_that_leaves_half_way_leaves_nothing(blobs: BlobStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (3 << 20)
        raise ConnectionResetError("gone")

    assert (await upload(HELLO, broken())).status_code == 499
    assert files(blobs) == set()


async def test_a_cancelled_upload_leaves_nothing(blobs: BlobStore) -> None:
    is_waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * (3 << 20)
        is_waiting.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(upload(HELLO, endless()))
    await is_waiting.wait()
    assert len(files(blobs)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(blobs) == set()


async def test_a_known_blob_is_read_to_the_end_and_kept_young(blobs: BlobStore) -> None:
    blobs.put(b"hello")
    os.utime(blobs.path(HELLO), (1, 1))
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(5):
            taken += 1
            yield b"whatever"

    assert (await upload(HELLO, body())).status_code == 200
    assert taken == 5
    assert blobs.path(HELLO).stat().st_mtime > 1


async def test_a_full_disk_is_507(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, size_bytes: int) -> None:
        raise StorageFull("not enough space in the model store: 7 more bytes are needed")

    monkeypatch.setattr(BlobStore, "require_space", full)
    reply = await call("POST", f"/api/blobs/{HELLO}", b"hello")
    assert (reply.status, reply.json) == (507, {"error": "not enough space in the model store: 7 more bytes are needed"})
    assert files(blobs) == set()


async def test_other_methods_are_told_which_there_are() -> None:
    for method in ("GET", "PUT", "DELETE"):
        reply = await call(method, f"/api/blobs/{HELLO}")
        assert (reply.status, reply.headers["allow"]) == (405, "HEAD, POST")


async def test_django_s_own_test_client_can_upload(blobs: BlobStore) -> None:
    request = AsyncRequestFactory().post("/", b"hello", content_type="application/octet-stream")
    assert (await blob(request, HELLO)).status_code == 201
    assert blobs.has(HELLO)
