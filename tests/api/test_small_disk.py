"""A site whose disk is full says how much is missing, keeps its store as it was, and goes on when there is room (fault F10)."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Site, start_site
from tests.registry.fake_registry import FakeRegistry, running_registry
from tests.small_disk import files_of, fill, on_small_disk, seen_by
from tests.store.gguf_files import GgufFile

pytestmark = [pytest.mark.process, pytest.mark.model]

MIB = 1 << 20
DISK_BYTES = 20 * MIB  # the starter takes half of it
BLOB = random.Random(10).randbytes(2 * MIB)
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
MISSING = re.compile(r"not enough space in the model store: \d+ more bytes are needed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("full") / "home"
    prefix = on_small_disk(home / "models", DISK_BYTES)
    site = start_site(home, prefix=prefix, LLMSITE_REGISTRY_PUSH="loopback")
    yield site
    site.stop()


@pytest.fixture
def full(site: Site) -> Iterator[Path]:
    """The store of the site, with a megabyte left; it has to be afterwards what it was, but for downloads to go on with."""
    store = seen_by(site.process, site.home / "models")
    fill(store, MIB)
    before = files_of(store)
    yield store
    after = {path: size for path, size in files_of(store).items() if "-partial" not in path}
    (store / "filler").unlink()
    assert after == before


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running_registry() as registry:
        yield registry


def post(site: Site, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{site.url}{path}", json=body, timeout=60)


def lines(reply: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in reply.text.splitlines()]


def in_pieces() -> Iterator[bytes]:
    yield from (BLOB[start : start + 65536] for start in range(0, len(BLOB), 65536))


def test_an_upload_of_known_size_is_refused_before_it_is_read(site: Site, full: Path) -> None:
    reply = httpx.post(f"{site.url}/api/blobs/{DIGEST}", content=BLOB, timeout=60)
    assert reply.status_code == 507
    assert MISSING.fullmatch(reply.json()["error"])


def test_an_upload_of_unknown_size_ends_when_the_disk_does(site: Site, full: Path) -> None:
    reply = httpx.post(f"{site.url}/api/blobs/{DIGEST}", content=in_pieces(), timeout=60)
    assert (reply.status_code, "the disk of the model store is full" in reply.json()["error"]) == (507, True)


def test_a_push_into_the_site_is_refused(site: Site, full: Path) -> None:
    begun = httpx.post(f"{site.url}/v2/library/pushed/blobs/uploads/")
    headers = {"Content-Range": f"0-{len(BLOB) - 1}"}
    reply = httpx.patch(f"{site.url}{begun.headers['Location']}", content=BLOB, headers=headers, timeout=60)
    assert reply.status_code == 507
    assert MISSING.search(reply.text)
    assert httpx.delete(f"{site.url}{begun.headers['Location']}").status_code == 204


def test_a_creation_is_507_or_an_error_line(site: Site, full: Path) -> None:
    whole = post(site, "/api/create", model="small", **{"from": "starter"}, quantize="q8_0", stream=False)
    assert whole.status_code == 507
    assert MISSING.fullmatch(whole.json()["error"])
    streamed = lines(post(site, "/api/create", model="small", **{"from": "starter"}, quantize="q8_0"))
    assert MISSING.fullmatch(streamed[-1]["error"])


def test_a_pull_is_507_or_an_error_line_and_goes_on_when_there_is_room(site: Site, full: Path, registry: FakeRegistry) -> None:
    registry.add_model("library/m", GgufFile().encode() + BLOB)
    wanted = {"model": f"{registry.host}/library/m", "insecure": True}
    whole = post(site, "/api/pull", **wanted, stream=False)
    assert whole.status_code == 507
    assert MISSING.fullmatch(whole.json()["error"])
    assert MISSING.fullmatch(lines(post(site, "/api/pull", **wanted))[-1]["error"])
    listed = httpx.get(f"{site.url}/api/tags").json()["models"]
    assert [model["name"] for model in listed] == ["starter:latest"]
    fill(full, 4 * MIB)
    assert lines(post(site, "/api/pull", **wanted))[-1] == {"status": "success"}
    assert httpx.request("DELETE", f"{site.url}/api/delete", json=wanted).status_code == 200


def test_it_answers_while_the_disk_is_full(site: Site, full: Path) -> None:
    fill(full, 0)
    reply = post(site, "/api/generate", model="starter", prompt="Hello", stream=False, options={"num_predict": 4})
    assert (reply.status_code, reply.json()["done"]) == (200, True)
