"""Models that go or change while they answer (faults F20, F21), and damaged ones over REST (F23), on a site of its own.

`tests/models_app/test_services.py` interleaves copies, deletions and creations; here are real weights, whose file is removed
from the disk while a runner writes from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from llmsite.inspector.pool import BlockingInspector
from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.model import ModelStore
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName
from tests.conftest import Site, start_site
from tests.inference.stock import STARTER

pytestmark = [pytest.mark.process, pytest.mark.model]

RAMBLING = {"temperature": 5, "top_k": 0, "top_p": 1, "seed": 1, "num_predict": 900, "num_ctx": 1024}
"""So hot that the end of a text hardly comes up: with this seed 900 tokens."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = start_site(tmp_path_factory.mktemp("faults") / "home")
    yield site
    site.stop()


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=60) as client:
        yield client


@pytest.fixture
def store(site: Site) -> ModelStore:
    return ModelStore(site.home / "models")


def add(store: ModelStore, name: str, mark: bytes, **texts: Any) -> str:
    """The starter with weights that no other model has; returns their digest."""
    with store.blobs.writer() as writer:
        writer.write(STARTER.read_bytes() + mark)
        digest = writer.commit()
    with BlockingInspector(Limits()) as inspector:
        facts = inspector.read_gguf(store.blobs.path(digest))
    create_model(store, ModelName.parse(name), Recipe((Part(digest, facts),), **texts))
    return digest


@contextmanager
def writing(http: httpx.Client, name: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Frames of an answer that has begun and has long to go."""
    asked = {"model": name, "prompt": "1 2 3", "raw": True, "options": RAMBLING}
    with http.stream("POST", "/api/generate", json=asked) as reply:
        assert reply.status_code == 200
        frames = (json.loads(line) for line in reply.iter_lines())
        assert not next(frames)["done"]
        yield frames


def names(http: httpx.Client) -> list[str]:
    return [each["name"] for each in http.get("/api/tags").json()["models"]]


def test_F20_an_answer_goes_on_when_its_model_is_deleted(http: httpx.Client, store: ModelStore) -> None:
    digest = add(store, "doomed", b"\0" * 32)
    with writing(http, "doomed") as frames:
        assert http.request("DELETE", "/api/delete", json={"model": "doomed"}).status_code == 200
        assert not store.blobs.has(digest)
        deleted_at = datetime.now(UTC)
        gone = http.post("/api/generate", json={"model": "doomed", "prompt": "x"})
        assert (gone.status_code, gone.json()) == (404, {"error": "model 'doomed' not found"})
        rest = list(frames)
    assert "doomed:latest" not in names(http)
    assert (rest[-1]["done"], rest[-1]["done_reason"], rest[-1]["eval_count"]) == (True, "length", 900)
    assert datetime.fromisoformat(rest[-2]["created_at"]) > deleted_at, "it was written to its end before"
    shown = http.post("/api/show", json={"model": "doomed"})
    assert (shown.status_code, shown.json()) == (404, {"error": "model 'doomed:latest' not found"})
    assert http.request("DELETE", "/api/delete", json={"model": "doomed"}).status_code == 404


def test_F21_an_answer_keeps_the_model_that_was_replaced_meanwhile(http: httpx.Client, store: ModelStore) -> None:
    digest = add(store, "changing", b"\0" * 64, system="Old.")
    add(store, "next", b"\0" * 96, system="New.")
    with writing(http, "changing") as frames:
        assert http.post("/api/copy", json={"source": "next", "destination": "changing"}).status_code == 200
        assert not store.blobs.has(digest), "nobody else has these weights"
        asked = {"model": "changing", "messages": [{"role": "user", "content": "Hi"}], "_debug_render_only": True}
        rendered = http.post("/api/chat", json=asked).json()["_debug_info"]["rendered_template"]
        assert "New." in rendered
        replaced_at = datetime.now(UTC)
        rest = list(frames)
    assert (rest[-1]["done_reason"], rest[-1]["eval_count"]) == ("length", 900)
    assert datetime.fromisoformat(rest[-2]["created_at"]) > replaced_at, "it was written to its end before"
    digests = {each["name"]: each["digest"] for each in http.get("/api/tags").json()["models"]}
    assert digests["changing:latest"] == digests["next:latest"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"config":{}}'], ids=["empty", "cut", "no text", "no config"])
def test_F23_a_damaged_model_is_left_out_and_can_be_deleted(http: httpx.Client, store: ModelStore, damage: bytes) -> None:
    add(store, "hurt", b"\0" * 32)
    manifest = store.root / "manifests/registry.ollama.ai/library/hurt/latest"
    manifest.write_bytes(damage)
    before = names(http)
    assert "hurt:latest" not in before
    assert "starter:latest" in before
    assert 400 <= http.post("/api/show", json={"model": "hurt"}).status_code <= 500
    assert 400 <= http.post("/api/generate", json={"model": "hurt", "prompt": "x"}).status_code <= 500
    assert http.request("DELETE", "/api/delete", json={"model": "hurt"}).status_code == 200
    assert not manifest.exists()
    assert names(http) == before
