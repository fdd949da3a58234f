"""This site as a registry, asked by a raw client: catalogue 11, threats T01, T05, T07, T68, and the rights to pull and push."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import override_settings

from api import blob_reply
from api.push_sessions import PushSessions, Session
from api.views import registry
from llmsite import backend
from llmsite.accounts.keys import issue_key
from llmsite.accounts.models import User
from llmsite.accounts.trust import STRANGER
from llmsite.store import manifest as media
from llmsite.store.digest import hash_bytes
from llmsite.store.manifest import Layer, Manifest, encode_manifest, manifest_digest
from llmsite.store.model import ModelStore
from llmsite.types.limits import MIB, Limits
from llmsite.types.name import ModelName
from tests.api import asgi_client
from tests.api.asgi_client import Exchange, call
from tests.store.digests import BAD_DIGESTS
from tests.store.gguf_files import GgufFile
from tests.store.listing import list_models

pytestmark = pytest.mark.django_db(transaction=True)

WEIGHTS, CONFIG = GgufFile().encode(), b'{"model_format":"gguf"}'
REPOSITORY = "/v2/library/m"


@pytest.fixture(autouse=True)
async def sessions(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PushSessions]:
    """Those of this test's loop."""
    sessions = PushSessions()
    monkeypatch.setattr(registry, "sessions", sessions)
    yield sessions
    await sessions.close()


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[ModelStore]:
    with override_settings(LLMSITE_MODELS=tmp_path, LLMSITE_REGISTRY_PUSH="loopback"):
        yield backend.get_store()


def layer(data: bytes, media_type: str = media.MODEL) -> Layer:
    return Layer(media_type, hash_bytes(data), len(data))


def manifest(*layers: Layer) -> bytes:
    return encode_manifest(Manifest(layer(CONFIG, media.CONFIG), layers or (layer(WEIGHTS),)))


def install(store: ModelStore, name: str = "m", *extra: bytes) -> bytes:
    """A model in the store; returns its manifest."""
    for data in (WEIGHTS, CONFIG, *extra):
        store.blobs.put(data)
    data = manifest(layer(WEIGHTS), *(layer(each, media.LICENSE) for each in extra))
    store.write(ModelName.parse(name), data)
    return data


def code_of(reply: Exchange) -> str:
    (error,) = reply.json["errors"]
    assert set(error) == {"code", "message"}
    return str(error["code"])


def files(store: ModelStore) -> set[str]:
    return {path.name for path in store.blobs.folder.iterdir()} if store.blobs.folder.exists() else set()


async def test_it_says_that_it_is_a_registry() -> None:
    reply = await call("GET", "/v2/")
    assert (reply.status, reply.json) == (200, {})
    assert reply.headers["docker-distribution-api-version"] == "registry/2.0"


# manifests


async def test_11_1_a_manifest_goes_out_byte_for_byte(store: ModelStore) -> None:
    stored = json.dumps(json.loads(install(store)), indent=3).encode()  # as if a registry had written it
    store.write(ModelName.parse("m"), stored)
    reply = await call("GET", f"{REPOSITORY}/manifests/latest", accept=media.MANIFEST)
    assert (reply.status, reply.body) == (200, stored)
    assert reply.headers["content-type"] == media.MANIFEST
    assert reply.headers["docker-content-digest"] == f"sha256:{manifest_digest(stored)}"
    head = await call("HEAD", f"{REPOSITORY}/manifests/latest")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(stored)))
    assert head.headers["docker-content-digest"] == reply.headers["docker-content-digest"]


@pytest.mark.parametrize("path", ["library/nope/manifests/latest", "library/m/manifests/nope", "other/m/manifests/latest"])
async def test_11_1_a_model_that_is_not_here_is_404(store: ModelStore, path: str) -> None:
    install(store)
    reply = await call("GET", f"/v2/{path}")
    assert (reply.status, code_of(reply)) == (404, "MANIFEST_UNKNOWN")


async def test_1_3_letter_case_does_not_count(store: ModelStore) -> None:
    data = install(store, "MyModel")
    assert (await call("GET", "/v2/library/mymodel/manifests/Latest")).body == data


async def test_a_model_of_another_host_is_found_where_only_one_can_be_meant(store: ModelStore) -> None:
    first = install(store, "hf.co/someone/thing:q4")
    assert (await call("GET", "/v2/someone/thing/manifests/q4")).body == first
    install(store, "box:1234/someone/thing:q4", b"another")
    assert (await call("GET", "/v2/someone/thing/manifests/q4")).status == 404
    ours = install(store, "someone/thing:q4", b"a third")
    assert (await call("GET", "/v2/someone/thing/manifests/q4")).body == ours


@pytest.mark.parametrize("repository", ["m", "a/b/c", "-a/b", "../..", "library/..", "a/b c", "a/" + "b" * 81, "a/b/"])
async def test_T02_names_are_judged_before_the_disk_is_asked(repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "get_store", lambda: pytest.fail("the store was asked"))
    for method, path in (("GET", "manifests/latest"), ("GET", f"blobs/{hash_bytes(b'')}"), ("POST", "blobs/uploads/")):
        reply = await call(method, f"/v2/{repository}/{path}")
        assert (reply.status, code_of(reply)) == (400, "NAME_INVALID")


@pytest.mark.parametrize("data", [b"", b"{", b"[]"])
async def test_F23_a_damaged_manifest_is_not_handed_on(store: ModelStore, data: bytes) -> None:
    install(store)
    (store.root / "manifests/registry.ollama.ai/library/m/latest").write_bytes(data)
    reply = await call("GET", f"{REPOSITORY}/manifests/latest")
    assert (reply.status, code_of(reply)) == (400, "MANIFEST_INVALID")


# blobs


def blob_path(data: bytes) -> str:
    return f"{REPOSITORY}/blobs/{hash_bytes(data)}"


async def test_11_1_a_blob_goes_out_whole_with_the_location_that_ollama_needs(store: ModelStore) -> None:
    data = b"0123456789" * 200_000
    store.blobs.put(data)
    reply = await call("GET", blob_path(data))
    assert (reply.status, reply.body) == (200, data)
    assert max(map(len, reply.pieces)) <= blob_reply.PIECE_BYTES
    assert reply.headers["location"] == blob_path(data)
    assert reply.headers["content-length"] == str(len(data))
    assert reply.headers["etag"] == f'"{hash_bytes(data)}"'
    assert reply.headers["docker-content-digest"] == hash_bytes(data)
    assert reply.headers["accept-ranges"] == "bytes"
    head = await call("HEAD", blob_path(data))
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(data)))


async def test_an_empty_blob_goes_out_too(store: ModelStore) -> None:
    store.blobs.put(b"")
    reply = await call("GET", blob_path(b""))
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=5-3", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
    ],
)
async def test_11_1_parts_of_a_blob(store: ModelStore, header: str, status: int, body: bytes, content_range: str | None) -> None:
    store.blobs.put(b"0123456789")
    reply = await call("GET", blob_path(b"0123456789"), range=header)
    assert (reply.status, reply.body, reply.headers.get("content-range")) == (status, body, content_range)
    if status != 416:
        assert reply.headers["content-length"] == str(len(body))


async def test_a_part_of_what_changed_meanwhile_is_the_whole(store: ModelStore) -> None:
    store.blobs.put(b"0123456789")
    path, etag = blob_path(b"0123456789"), f'"{hash_bytes(b"0123456789")}"'
    assert (await call("GET", path, range="bytes=0-0", if_range=etag)).body == b"0"
    assert (await call("GET", path, range="bytes=0-0", if_range='"other"')).body == b"0123456789"
    fresh = await call("GET", path, if_none_match=etag)
    assert (fresh.status, fresh.body, fresh.headers["etag"]) == (304, b"", etag)


async def test_a_blob_that_is_removed_while_it_goes_out_arrives_whole(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_reply, "PIECE_BYTES", 1000)
    data = bytes(range(256)) * 40
    store.blobs.put(data)
    exchange = asgi_client.start("GET", blob_path(data))
    await exchange.wait_for_piece()
    store.blobs.remove(hash_bytes(data))
    assert exchange.task is not None
    await exchange.task
    assert exchange.body == data


async def test_a_blob_that_was_cut_short_breaks_the_answer_off(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_reply, "PIECE_BYTES", 1000)
    data = bytes(range(256)) * 40
    store.blobs.put(data)
    response = await blob_reply.reply_with_blob(_get(), store.blobs, hash_bytes(data))
    with store.blobs.path(hash_bytes(data)).open("r+b") as file:
        file.truncate(1500)
    with pytest.raises(blob_reply.LoadFailed, match="model data is damaged"):
        async for _ in response:  # type: ignore[union-attr]
            pass
    response.close()


def _get() -> Any:
    from django.test import AsyncRequestFactory

    return AsyncRequestFactory().get("/")


async def test_a_reader_who_leaves_closes_the_file(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_reply, "PIECE_BYTES", 10)
    data = b"x" * 100_000
    store.blobs.put(data)
    opened: list[Any] = []
    opener = store.blobs.open
    monkeypatch.setattr(store.blobs, "open", lambda digest: opened.append(opener(digest)) or opened[-1])
    exchange = asgi_client.start("GET", blob_path(data))
    await exchange.wait_for_piece(3)
    await exchange.disconnect()
    assert len(exchange.body) < len(data)
    assert [file.closed for file in opened] == [True]


async def test_the_next_piece_is_read_ahead_and_no_more(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow a reader is, he costs two pieces."""
    monkeypatch.setattr(blob_reply, "PIECE_BYTES", 1000)
    data = b"x" * 50_000
    store.blobs.put(data)
    reads: list[int] = []
    pread = blob_reply.os.pread
    monkeypatch.setattr(blob_reply.os, "pread", lambda fd, size, at: (reads.append(at), pread(fd, size, at))[1])
    response = await blob_reply.reply_with_blob(_get(), store.blobs, hash_bytes(data))
    taken = 0
    async for _ in response:  # type: ignore[union-attr]
        taken += 1
        await asyncio.sleep(0)
        assert len(reads) <= taken + 1
    assert taken == len(reads) == 50
    response.close()


@pytest.mark.parametrize("kind", ["symlink", "hard link", "folder"])
async def test_T07_what_is_planted_in_place_of_a_blob_is_not_served(store: ModelStore, tmp_path: Path, kind: str) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(b"secret")
    planted = store.blobs.path(hash_bytes(b"secret"))
    planted.parent.mkdir()
    match kind:
        case "symlink":
            planted.symlink_to(canary)
        case "hard link":
            planted.hardlink_to(canary)
        case _:
            planted.mkdir()
    for method in ("GET", "HEAD"):
        reply = await call(method, blob_path(b"secret"))
        assert reply.status == 500
        assert b"secret" not in reply.body
        assert str(tmp_path).encode() not in reply.body


async def test_a_missing_blob_is_404() -> None:
    reply = await call("GET", blob_path(b"nothing"))
    assert (reply.status, code_of(reply)) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("digest", BAD_DIGESTS, ids=ascii)
async def test_T01_bad_digests_are_refused_at_every_entry(store: ModelStore, digest: str) -> None:
    quoted = digest.replace("?", "%3F")
    for method in ("GET", "HEAD"):
        reply = await call(method, f"{REPOSITORY}/blobs/{quoted}")
        assert reply.status == 400
        assert method == "HEAD" or code_of(reply) == "DIGEST_INVALID"
    query = digest.encode().hex(" ").replace(" ", "%")
    mounted = await call("POST", f"{REPOSITORY}/blobs/uploads/?mount=%{query}&from=library/x")
    assert (mounted.status, code_of(mounted)) == (400, "DIGEST_INVALID")
    begun = await call("POST", f"{REPOSITORY}/blobs/uploads/")
    ended = await call("PUT", f"{begun.headers['location']}?digest=%{query}", b"x")
    assert (ended.status, code_of(ended)) == (400, "DIGEST_INVALID")
    document = json.loads(manifest()) | {"layers": [{"mediaType": media.MODEL, "digest": digest, "size": 1}]}
    put = await call("PUT", f"{REPOSITORY}/manifests/latest", document)
    assert (put.status, code_of(put)) == (400, "MANIFEST_INVALID")
    assert all(name.startswith("upload-") for name in files(store))


# pushing


async def begin(**headers: str) -> Exchange:
    reply = await call("POST", f"{REPOSITORY}/blobs/uploads/", **headers)
    assert reply.status == 202
    return reply


async def push(data: bytes) -> Exchange:
    """One blob as Ollama pushes it: POST, one PATCH, PUT."""
    location = (await begin()).headers["location"]
    patched = await call("PATCH", location, data, content_range=f"0-{len(data) - 1}", x_redirect_uploads="1")
    assert patched.status == 202
    return await call("PUT", f"{patched.headers['location']}?digest={hash_bytes(data)}&etag=abc-1")


async def test_11_3_a_model_is_pushed_blob_by_blob_and_its_manifest_last(store: ModelStore) -> None:
    for data in (WEIGHTS, CONFIG):
        assert (await call("HEAD", blob_path(data))).status == 404
        done = await push(data)
        assert (done.status, done.body) == (201, b"")
        assert (done.headers["location"], done.headers["docker-content-digest"]) == (blob_path(data), hash_bytes(data))
        assert (await call("HEAD", blob_path(data))).status == 200
    assert list_models(store) == [], "without its manifest there is no model"
    pushed = json.dumps(json.loads(manifest()), indent=1).encode()
    reply = await call("PUT", f"{REPOSITORY}/manifests/latest", pushed, content_type=media.MANIFEST)
    assert reply.status == 201
    assert reply.headers["docker-content-digest"] == f"sha256:{manifest_digest(pushed)}"
    assert (await call("GET", reply.headers["location"])).body == pushed
    assert [model["name"] for model in (await call("GET", "/api/tags")).json["models"]] == ["m:latest"]
    assert store.find("m").digest == manifest_digest(pushed)
    assert files(store) == {hash_bytes(data).replace(":", "-") for data in (WEIGHTS, CONFIG)}


async def test_11_3_the_first_answer_says_where_to_send_in_both_forms() -> None:
    reply = await begin()
    location = reply.headers["location"]
    assert location.startswith(f"{REPOSITORY}/blobs/uploads/")
    assert reply.headers["docker-upload-location"] == f"http://localhost{location}", "Ollama completes no paths"
    assert reply.headers["docker-upload-uuid"] == location.rpartition("/")[2]
    behind = await begin(x_forwarded_proto="https")
    assert behind.headers["docker-upload-location"].startswith("https://localhost/v2/")


async def test_11_3_parts_must_come_in_order(store: ModelStore) -> None:
    location = (await begin()).headers["location"]
    for start, part in ((0, b"01234"), (5, b"56789")):
        early = await call("PATCH", location, b"xx", content_range=f"{start + 3}-{start + 4}")
        assert early.status == 416
        reply = await call("PATCH", location, part, content_range=f"{start}-{start + 4}")
        assert (reply.status, reply.headers["range"]) == (202, f"0-{start + 4}")
    again = await call("PATCH", location, b"56789", content_range="5-9")
    assert (again.status, again.headers["range"]) == (416, "0-9")
    where = await call("GET", location)
    assert (where.status, where.headers["range"]) == (204, "0-9")
    assert (await call("PUT", f"{location}?digest={hash_bytes(b'0123456789')}")).status == 201
    assert store.blobs.has(hash_bytes(b"0123456789"))


@pytest.mark.parametrize(
    ("header", "body", "problem"),
    [
        ("5-9", b"0123", "shorter"),
        ("5-9", b"012345", "longer"),
        ("nonsense", b"01234", "cannot be read"),
        ("9-5", b"01234", "cannot be read"),
        ("bytes */10", b"01234", "cannot be read"),
    ],
)
async def test_11_3_a_part_that_is_not_what_it_says_adds_nothing(header: str, body: bytes, problem: str) -> None:
    location = (await begin()).headers["location"]
    await call("PATCH", location, b"01234", content_range="0-4")
    reply = await call("PATCH", location, body, content_range=header)
    assert (reply.status, code_of(reply)) == (400, "BLOB_UPLOAD_INVALID")
    assert problem in reply.json["errors"][0]["message"]
    assert (await call("GET", location)).headers["range"] == "0-4"
    assert (await call("PATCH", location, b"56789", content_range="5-9")).status == 202
    assert (await call("PUT", f"{location}?digest={hash_bytes(b'0123456789')}")).status == 201


async def test_11_3_a_part_that_breaks_off_adds_nothing_and_can_be_sent_again(store: ModelStore) -> None:
    location = (await begin()).headers["location"]
    await call("PATCH", location, b"head", content_range="0-3")
    session = registry.sessions.find(location.rpartition("/")[2], "loopback")
    assert session is not None

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3 * MIB
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await registry.sessions.append(session, broken(), None, store.limits)
    assert session.num_bytes == 4
    assert (await call("PATCH", location, b"tail", content_range="4-7")).status == 202
    assert (await call("PUT", f"{location}?digest={hash_bytes(b'headtail')}")).status == 201


async def test_the_last_put_may_bring_bytes(store: ModelStore) -> None:
    location = (await begin()).headers["location"]
    assert (await call("PUT", f"{location}?digest={hash_bytes(b'all of it')}", b"all of it")).status == 201
    assert store.blobs.has(hash_bytes(b"all of it"))


@pytest.mark.parametrize("sent", [b"hellp", b"hell", b"hello!", b""], ids=["changed", "truncated", "extended", "empty"])
async def test_T05_bytes_that_do_not_match_are_discarded(store: ModelStore, sent: bytes) -> None:
    location = (await begin()).headers["location"]
    reply = await call("PUT", f"{location}?digest={hash_bytes(b'hello')}", sent)
    assert (reply.status, code_of(reply)) == (400, "DIGEST_INVALID")
    expected = f'digest mismatch, expected "{hash_bytes(b"hello")}", got "{hash_bytes(sent)}"'
    assert reply.json["errors"][0]["message"] == expected
    assert files(store) == set()
    assert (await call("GET", location)).status == 404, "the session is over"


async def test_11_3_mount_takes_a_blob_that_is_here(store: ModelStore) -> None:
    store.blobs.put(WEIGHTS)
    mounted = await call("POST", f"{REPOSITORY}/blobs/uploads/?mount={hash_bytes(WEIGHTS)}&from=library/base")
    assert (mounted.status, mounted.headers["location"]) == (201, blob_path(WEIGHTS))
    other = await call("POST", f"{REPOSITORY}/blobs/uploads/?mount={hash_bytes(b'else')}&from=library/base")
    assert other.status == 202


async def test_an_upload_can_be_given_up(store: ModelStore) -> None:
    location = (await begin()).headers["location"]
    await call("PATCH", location, b"half")
    assert len(files(store)) == 1
    assert (await call("DELETE", location)).status == 204
    assert files(store) == set()
    gone = await call("PATCH", location, b"more")
    assert (gone.status, code_of(gone)) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_an_upload_nobody_goes_on_with_ends(store: ModelStore, sessions: PushSessions, monkeypatch: Any) -> None:
    store.blobs.limits = Limits(push_idle_seconds=0.05)
    ended, end = asyncio.Event(), sessions.end

    async def tell(session: Session) -> None:
        await end(session)
        ended.set()

    monkeypatch.setattr(sessions, "end", tell)
    await begin()
    assert len(files(store)) == 1
    await ended.wait()
    assert files(store) == set()


async def test_there_are_so_many_uploads_at_once_and_no_more(store: ModelStore) -> None:
    store.blobs.limits = Limits(push_uploads=3)
    locations = [(await begin()).headers["location"] for _ in range(3)]
    surplus = await call("POST", f"{REPOSITORY}/blobs/uploads/")
    assert (surplus.status, code_of(surplus)) == (503, "TOOMANYREQUESTS")
    await call("DELETE", locations[0])
    await begin()


async def test_the_sweep_spares_an_upload_that_is_under_way(store: ModelStore) -> None:
    location = (await begin()).headers["location"]
    await call("PATCH", location, b"half")
    assert store.sweep(2_000_000_000.0) == 0
    assert (await call("PUT", f"{location}?digest={hash_bytes(b'half')}")).status == 201


async def test_a_blob_has_a_greatest_size(store: ModelStore) -> None:
    store.limits = Limits(upload_bytes=10)
    location = (await begin()).headers["location"]
    assert (await call("PATCH", location, b"12345678")).status == 202
    reply = await call("PATCH", location, b"9abc")
    assert (reply.status, code_of(reply)) == (413, "SIZE_INVALID")
    assert (await call("GET", location)).headers["range"] == "0-7"


async def test_a_disk_without_room_is_507(store: ModelStore) -> None:
    store.blobs.limits = Limits(disk_floor_bytes=1 << 60)
    location = (await begin()).headers["location"]
    reply = await call("PATCH", location, b"x", content_range=f"0-{(1 << 30) - 1}")
    assert reply.status == 507
    assert "more bytes are needed" in reply.json["errors"][0]["message"]


# the manifest of a push


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(manifest()) | changes).encode()


def entry(data: bytes = WEIGHTS, **changes: Any) -> dict[str, Any]:
    return {"mediaType": media.MODEL, "digest": hash_bytes(data), "size": len(data)} | changes


@pytest.mark.parametrize(
    ("data", "code", "problem"),
    [
        (b"", "MANIFEST_INVALID", "invalid manifest"),
        (b"{", "MANIFEST_INVALID", "invalid manifest"),
        (b"[]", "MANIFEST_INVALID", "invalid manifest"),
        (b"\xff\xfe", "MANIFEST_INVALID", "invalid manifest"),
        (b"x" * (4 * MIB + 1), "SIZE_INVALID", "larger than 4194304 bytes"),
        (changed(schemaVersion=1), "MANIFEST_INVALID", "only schema version 2 is understood"),
        (changed(schemaVersion="2"), "MANIFEST_INVALID", "invalid manifest"),
        (b'{"layers":[]}', "MANIFEST_INVALID", "config"),
        (changed(config=None), "MANIFEST_INVALID", "invalid manifest"),
        (changed(config={}), "MANIFEST_INVALID", "digest"),
        (changed(layers=[]), "MANIFEST_INVALID", "no layers"),
        (changed(layers=None), "MANIFEST_INVALID", "no layers"),
        (changed(layers={}), "MANIFEST_INVALID", "invalid manifest"),
        (changed(layers=[entry(size=-1)]), "MANIFEST_INVALID", "negative"),
        (changed(layers=[entry(size=2**63)]), "MANIFEST_INVALID", "invalid manifest"),
        (changed(layers=[entry(size=2**60)]), "MANIFEST_INVALID", "is larger than"),
        (changed(layers=[entry(size=1.5)]), "MANIFEST_INVALID", "invalid manifest"),
        (changed(layers=[entry(size="7")]), "MANIFEST_INVALID", "invalid manifest"),
        (changed(layers=[entry(), entry(size=len(WEIGHTS) + 1)]), "MANIFEST_INVALID", "two sizes"),
        (changed(layers=[entry()] * 2049), "MANIFEST_INVALID", "more than 2048 layers"),
        (changed(layers=[entry(b"not pushed")]), "MANIFEST_BLOB_UNKNOWN", "is not here; push it first"),
        (changed(layers=[entry(size=len(WEIGHTS) + 1)]), "MANIFEST_BLOB_UNKNOWN", f"has {len(WEIGHTS)} bytes, not"),
        (changed(layers=[entry(mediaType=media.SYSTEM)]), "MANIFEST_INVALID", "no GGUF layer"),
        (changed(layers=[entry(), entry(mediaType="application/x-other")]), "MANIFEST_INVALID", "not of a kind"),
        (changed(layers=[entry(**{"from": "m" * 1025})]), "MANIFEST_INVALID", "longer than 1024 characters"),
        (changed()[:-1] + b',"annotations":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "MANIFEST_INVALID", "nested too deeply"),
    ],
)
async def test_T68_a_manifest_that_cannot_be_right_makes_no_model(
    store: ModelStore, data: bytes, code: str, problem: str
) -> None:
    store.blobs.put(WEIGHTS)
    store.blobs.put(CONFIG)
    reply = await call("PUT", f"{REPOSITORY}/manifests/latest", data)
    assert (reply.status, code_of(reply)) == (413 if code == "SIZE_INVALID" else 400, code)
    assert problem in reply.json["errors"][0]["message"]
    assert list(store.manifests.files()) == []


async def test_T68_kinds_without_use_here_and_layers_twice_are_kept(store: ModelStore) -> None:
    for data in (WEIGHTS, CONFIG, b"extra"):
        store.blobs.put(data)
    data = changed(layers=[entry(), entry(), entry(b"extra", mediaType="application/vnd.ollama.image.embed")])
    assert (await call("PUT", f"{REPOSITORY}/manifests/latest", data)).status == 201
    assert len(store.find("m").manifest.layers) == 3


async def test_a_pushed_model_replaces_the_one_of_that_name(store: ModelStore) -> None:
    install(store, "m", b"old licence")
    assert (await call("PUT", f"{REPOSITORY}/manifests/latest", manifest())).status == 201
    assert store.find("m").licenses == ()
    assert not store.blobs.has(hash_bytes(b"old licence"))


# rights


async def key_of(name: str, *scopes: str) -> dict[str, str]:
    user, _ = await User.objects.aget_or_create(username=name)
    return {"authorization": f"Bearer {await sync_to_async(issue_key)(user, scopes=scopes)}"}


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers come from the network."""
    monkeypatch.setattr(asgi_client, "NEAR", STRANGER)


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize("is_public", [False, True])
async def test_strangers_get_nothing_unless_it_was_switched_on(store: ModelStore, settings: Any, is_public: bool) -> None:
    settings.LLMSITE_REGISTRY_PUBLIC = is_public
    install(store)
    for path in ("/v2/", f"{REPOSITORY}/manifests/latest", blob_path(WEIGHTS)):
        reply = await call("GET", path)
        assert reply.status == (200 if is_public else 401)
        if not is_public:
            assert code_of(reply) == "UNAUTHORIZED"
            assert reply.headers["www-authenticate"] == "Bearer"
    assert (await call("POST", f"{REPOSITORY}/blobs/uploads/")).status == 401
    assert (await call("PUT", f"{REPOSITORY}/manifests/latest", manifest())).status == 401
    assert (await call("GET", "/api/tags")).status == 401


@pytest.mark.usefixtures("strangers")
async def test_a_key_pulls_and_pushes_as_its_scopes_say(store: ModelStore) -> None:
    install(store)
    reading, pushing = await key_of("alice", "models:read"), await key_of("alice", "models:push")
    path = f"{REPOSITORY}/manifests/latest"
    assert (await call("GET", path, **reading)).status == 200
    refused = await call("GET", path, **pushing)
    assert (refused.status, code_of(refused)) == (403, "DENIED")
    assert (await call("POST", f"{REPOSITORY}/blobs/uploads/", **reading)).status == 403
    assert (await call("PUT", path, manifest(), **reading)).status == 403
    assert (await call("POST", f"{REPOSITORY}/blobs/uploads/", **pushing)).status == 202
    assert (await call("PUT", path, manifest(), **pushing)).status == 201


@pytest.mark.parametrize(("setting", "status"), [("key", 401), ("loopback", 202), ("off", 403)])
async def test_callers_of_this_machine_push_where_it_was_allowed(settings: Any, setting: str, status: int) -> None:
    settings.LLMSITE_REGISTRY_PUSH = setting
    assert (await call("POST", f"{REPOSITORY}/blobs/uploads/")).status == status
    key = await key_of("alice", "models:push")
    assert (await call("POST", f"{REPOSITORY}/blobs/uploads/", **key)).status == (403 if setting == "off" else 202)


async def test_T50_an_upload_belongs_to_who_began_it(store: ModelStore) -> None:
    alice, bob = await key_of("alice", "models:push"), await key_of("bob", "models:push")
    location = (await begin(**alice)).headers["location"]
    for headers in (bob, {}):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            reply = await call(method, location, b"x", **headers)
            missing = await call(method, f"{REPOSITORY}/blobs/uploads/{'0' * 32}", b"x", **headers)
            assert (reply.status, reply.body) == (404, missing.body)
    assert (await call("PATCH", location, b"mine", **alice)).status == 202


async def test_other_methods_are_told_which_there_are() -> None:
    reply = await call("DELETE", f"{REPOSITORY}/manifests/latest")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, PUT")
