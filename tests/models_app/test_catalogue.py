"""The rows equal the manifests, whoever changed them; and what is told of a model is what its files say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth import get_user_model
from django.test import RequestFactory

from api.responses import installed_model
from llmsite.inspector import pool
from llmsite.modelfile.create import Part, Recipe, create_model
from llmsite.store.gguf import GgufFacts
from llmsite.store.model import ModelStore
from llmsite.types.name import ModelName
from models_app import catalogue, findings, services, tasks
from models_app.admin import BlobAdmin, ModelAdmin
from models_app.model_files import read_part
from models_app.models import Blob, Job, JobState, Model
from models_app.tasks import sweep_store
from tests.store.gguf_files import BOOL, TEXT, U32, GgufFile, model_metadata, scalar

pytestmark = pytest.mark.django_db
HOUR = 3600.0
GO = "{{ if .Tools }}{{ .Tools }}{{ end }}{{ if .Suffix }}{{ .Suffix }}{{ end }}{{ .Prompt }}"


def add(store: ModelStore, name: str, data: bytes | None = None, facts: GgufFacts | None = None, **recipe: Any) -> None:
    digest = store.blobs.put(GgufFile().encode() if data is None else data)
    parts = (Part(digest, facts or GgufFacts(architecture="llama", parameter_count=7_000_000_000, file_type="F16")),)
    create_model(store, ModelName.parse(name), Recipe(parts, **recipe))


def names() -> list[str]:
    return [model.name for model in services.list_models_now()]


def test_a_row_tells_what_the_model_is(store: ModelStore) -> None:
    add(store, "h/n/m:t", template=GO, system="S", parameters={"seed": 1}, licenses=("L",))
    catalogue.sync()
    row = Model.objects.get()
    model = store.find("h/n/m:t")
    assert (row.name, str(row), row.digest, row.error) == (model.name, "h/n/m:t", model.digest, "")
    assert (row.template, row.system, row.parameters, row.licenses) == (GO, "S", {"seed": 1}, ["L"])
    assert row.manifest.encode() == (store.root / "manifests/h/n/m/t").read_bytes()
    assert {blob.digest for blob in row.blobs.all()} == model.manifest.digests
    assert row.details["num_ctx"] == 512
    assert row.capabilities == ["completion", "tools", "insert"]
    (weights,) = Blob.objects.filter(facts__isnull=False)
    assert (weights.digest, weights.facts["architecture"], str(weights)) == (model.model_digest, "llama", model.model_digest)


def test_models_that_come_change_and_go_are_followed(store: ModelStore) -> None:
    add(store, "a", system="one")
    add(store, "b", system="b's own")
    assert set(names()) == {"a:latest", "b:latest"}
    first = Model.objects.get(model="a")
    add(store, "a", system="another, longer")
    store.remove(ModelName.parse("b"))
    assert names() == ["a:latest"]
    again = Model.objects.get()
    assert (again.pk, again.added_at, again.system) == (first.pk, first.added_at, "another, longer")
    assert {blob.digest for blob in Blob.objects.all()} == store.find("a").manifest.digests


def test_a_lost_database_costs_no_model(store: ModelStore) -> None:
    for name in ("a", "b", "c"):
        add(store, name)
    catalogue.sync()
    before = services.list_models_now()
    Model.objects.all().delete()
    Blob.objects.all().delete()
    catalogue.sync()
    assert services.list_models_now() == before


def test_models_are_listed_newest_first(store: ModelStore) -> None:
    for age, name in enumerate(("new", "middle", "old")):
        add(store, name)
        os.utime(store.root / "manifests/registry.ollama.ai/library" / name / "latest", (1000 - age, 1000 - age))
    assert names() == ["new:latest", "middle:latest", "old:latest"]
    assert services.list_models_now()[0].modified_ns == 1000 * 10**9


def test_2_13_the_time_of_a_model_is_its_manifest_s_to_the_nanosecond(store: ModelStore) -> None:
    add(store, "m")
    os.utime(store.root / "manifests/registry.ollama.ai/library/m/latest", ns=(0, 1_795_656_626_103_671_697))
    (model,) = services.list_models_now()
    assert ".103671697" in json.loads(installed_model(model))["modified_at"]


async def async_names() -> list[str]:
    return [model.name for model in await services.list_models()]


@pytest.mark.django_db(transaction=True)
async def test_lists_can_be_asked_for_without_blocking(store: ModelStore) -> None:
    add(store, "a")
    assert await async_names() == ["a:latest"]


def test_only_new_files_are_inspected(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    read = findings.LazyInspector.read_gguf
    monkeypatch.setattr(
        findings.LazyInspector, "read_gguf", lambda inspector, digest: (asked.append(digest), read(inspector, digest))[1]
    )
    add(store, "a")
    catalogue.sync()
    add(store, "b", system="the same weights")
    add(store, "c", GgufFile(model_metadata() | {"llama.context_length": scalar(U32, 99)}).encode())
    catalogue.sync()
    catalogue.sync()
    assert asked == [store.find("a").model_digest, store.find("c").model_digest]
    assert {model.name: model.details.num_ctx for model in services.list_models_now()} == {
        "a:latest": 512,
        "b:latest": 512,
        "c:latest": 99,
    }


def test_files_that_are_refused_spoil_only_their_model(store: ModelStore, caplog: pytest.LogCaptureFixture) -> None:
    add(store, "bad", b"GGUF" + b"\xff" * 100)
    add(store, "worse", GgufFile(model_metadata() | {"tokenizer.ggml.tokens": scalar(TEXT, "x")}).encode())
    add(store, "bad-template", GgufFile().encode() + b"\0", template="{{ if }}")
    add(store, "good", template="{{ .Prompt }}{{ .Suffix }}")
    found = {model.name: model for model in services.list_models_now()}
    assert set(found) == {"bad:latest", "worse:latest", "bad-template:latest", "good:latest"}
    assert found["bad:latest"].details.num_ctx == 0
    assert found["bad:latest"].details.parameter_size == "7B", "the config still tells"
    assert (found["good:latest"].details.num_ctx, found["good:latest"].capabilities) == (512, ("completion", "insert"))
    assert "not a valid gguf file" in caplog.text
    assert "missing value for if" in caplog.text


@pytest.mark.parametrize(
    ("texts", "is_listed"),
    [({"from": "<" * 1_000_000}, True), ({"size": 2**70}, False), ({"annotations": "deep"}, False)],
    ids=["escaped six times as long", "larger than any disk", "nested"],
)
def test_a_foreign_manifest_spoils_at_most_its_own_model(store: ModelStore, texts: dict[str, Any], is_listed: bool) -> None:
    """What is written again as Go does may be longer than what was read: the list, and all that follows a change, still works."""
    add(store, "good")
    path = store.root / "manifests/registry.ollama.ai/library/odd/latest"
    path.parent.mkdir()
    document = json.loads((store.root / "manifests/registry.ollama.ai/library/good/latest").read_bytes())
    document["layers"].append(document["config"] | {"mediaType": "application/x-odd"} | texts)
    path.write_text(json.dumps(document).replace('"deep"', "[" * 100_000 + "]" * 100_000))
    catalogue.sync_quickly(0)
    catalogue.complete()
    assert set(names()) == {"good:latest"} | ({"odd:latest"} if is_listed else set())


@pytest.mark.parametrize("damage", ["manifest", "config"])
def test_F23_a_damaged_model_has_a_row_with_its_error_and_no_place_in_lists(store: ModelStore, damage: str) -> None:
    add(store, "good")
    add(store, "bad", system="s")
    bad = store.find("bad")
    path = store.root / "manifests/registry.ollama.ai/library/bad/latest"
    if damage == "manifest":
        path.write_bytes(b"{")
    else:
        system = bad.manifest.layers[-1].digest
        store.blobs.path(system).unlink()
        os.utime(path, (5, 5))
    assert names() == ["good:latest"]
    row = Model.objects.get(model="bad")
    assert ("invalid manifest" if damage == "manifest" else "is missing") in row.error
    assert catalogue.is_current(), "it is not read again at every list"
    add(store, "bad", system="s")
    assert set(names()) == {"good:latest", "bad:latest"}
    store.remove(ModelName.parse("bad"))
    assert names() == ["good:latest"]


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [("vision", ("completion", "vision")), ("audio", ("completion", "vision", "audio"))],
)
def test_2_15_a_projector_adds_vision_and_what_it_hears(store: ModelStore, encoder: str, expected: tuple[str, ...]) -> None:
    projector = GgufFile(
        {"general.architecture": scalar(TEXT, "clip"), f"clip.has_{encoder}_encoder": scalar(BOOL, True)}
    ).encode()
    parts = (
        Part(store.blobs.put(GgufFile().encode()), GgufFacts(architecture="llama")),
        Part(store.blobs.put(projector), GgufFacts(kind="projector", architecture="clip")),
    )
    create_model(store, ModelName.parse("sees"), Recipe(parts))
    (model,) = services.list_models_now()
    assert model.capabilities == expected


@pytest.fixture
def thousand(store: ModelStore) -> ModelStore:
    """A thousand models of one file, laid out by hand."""
    add(store, "m0")
    folder = store.root / "manifests/registry.ollama.ai/library"
    data = (folder / "m0/latest").read_bytes()
    for number in range(1, 1000):
        (folder / f"m{number}").mkdir()
        (folder / f"m{number}/latest").write_bytes(data)
    return store


def test_a_thousand_models_are_looked_at_without_reading_them(
    thousand: ModelStore, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    catalogue.sync()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    monkeypatch.setattr(thousand.blobs, "open", lambda digest: pytest.fail("a blob was opened"))
    monkeypatch.setattr(findings, "BlockingInspector", lambda *_: pytest.fail("a child was started"))
    with django_assert_num_queries(2):
        assert len(services.list_models_now()) == 1000
    with django_assert_num_queries(1):
        assert catalogue.sync_quickly()


def test_an_element_of_a_long_list_is_written_once(thousand: ModelStore) -> None:
    catalogue.sync()
    written = [[id(installed_model(each)) for each in services.list_models_now()] for _ in range(2)]
    assert written[0] == written[1]


def add_files(store: ModelStore, count: int) -> None:
    """Models of a file each."""
    for number in range(count):
        add(store, f"m{number}", GgufFile(model_metadata() | {"llama.context_length": scalar(U32, 100 + number)}).encode())


def test_a_big_foreign_store_is_listed_at_once_and_looked_into_later(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    add_files(store, 20)
    with monkeypatch.context() as patch:
        patch.setattr(findings, "BlockingInspector", lambda *_: pytest.fail("a child was started"))
        assert not catalogue.sync_quickly(patience_seconds=0)
    listed = {model.name: model for model in services.list_models_now()}
    assert len(listed) == 20
    assert {(model.details.parameter_size, model.details.num_ctx, model.capabilities) for model in listed.values()} == {
        ("7B", 0, ())
    }
    catalogue.complete()
    listed = {model.name: model for model in services.list_models_now()}
    assert {name: model.details.num_ctx for name, model in listed.items()} == {f"m{n}:latest": 100 + n for n in range(20)}
    assert {model.capabilities for model in listed.values()} == {("completion",)}
    monkeypatch.setattr(findings, "BlockingInspector", lambda *_: pytest.fail("a child was started"))
    catalogue.sync()


def test_what_a_file_is_refused_for_is_not_asked_again(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, "bad", b"GGUF" + b"\xff" * 100)
    assert catalogue.sync_quickly()
    monkeypatch.setattr(findings, "BlockingInspector", lambda *_: pytest.fail("a child was started"))
    catalogue.sync()
    assert findings.known_facts([store.find("bad").model_digest]) == {}


def test_a_model_that_goes_before_it_was_looked_into_is_left_out(store: ModelStore) -> None:
    add_files(store, 3)
    catalogue.sync_quickly(patience_seconds=0)
    store.remove(ModelName.parse("m1"))
    catalogue.complete()
    found = dict(Model.objects.values_list("model", "details__num_ctx"))
    assert found == {"m0": 100, "m1": 0, "m2": 102}
    assert set(names()) == {"m0:latest", "m2:latest"}


def test_a_list_has_a_worker_look_into_what_it_had_no_patience_for(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(tasks.complete_catalogue, "apply_async", lambda **_: asked.append("complete"))
    quickly = catalogue.sync_quickly
    add_files(store, 2)
    assert len(names()) == 2
    assert asked == [], "two files are no big store"
    add(store, "late", GgufFile(model_metadata() | {"llama.context_length": scalar(U32, 7)}).encode())
    monkeypatch.setattr(catalogue, "sync_quickly", lambda: quickly(patience_seconds=0))
    assert len(names()) == 3
    assert len(names()) == 3
    assert asked == ["complete"]
    tasks.complete_catalogue()
    assert services.list_models_now()[0].details.num_ctx == 7


def test_what_cannot_be_read_spoils_only_its_model(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest that is a link to itself, and weights that open for nobody."""
    add(store, "good")
    add(store, "closed", GgufFile(model_metadata() | {"llama.context_length": scalar(U32, 99)}).encode())
    add(store, "loop")
    loop = store.root / "manifests/registry.ollama.ai/library/loop/latest"
    loop.unlink()
    loop.symlink_to(loop)
    closed = store.find("closed").model_path
    real = open

    def refuse(path: Any, *args: Any) -> Any:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args)

    monkeypatch.setattr(pool, "open", refuse, raising=False)
    catalogue.sync()
    found = {model.name: model.details.num_ctx for model in services.list_models_now()}
    assert found == {"good:latest": 512, "closed:latest": 0}


def test_an_empty_store_lists_nothing(store: ModelStore) -> None:
    catalogue.sync()
    assert services.list_models_now() == []


def test_the_sweep_removes_what_nobody_uses(store: ModelStore, settings: Any) -> None:
    add(store, "a")
    unused = store.blobs.put(b"unused")
    os.utime(store.blobs.path(unused), (1, 1))
    settings.LLMSITE_PRUNES = False
    sweep_store()
    assert store.blobs.has(unused)
    settings.LLMSITE_PRUNES = True
    sweep_store()
    assert not store.blobs.has(unused)
    assert names() == ["a:latest"]


@pytest.mark.parametrize(
    ("kind", "state", "stays"),
    [
        ("pull", JobState.RUNNING, True),
        ("pull", JobState.FAILED, True),
        ("pull", JobState.CANCELED, True),
        ("pull", JobState.DONE, False),
        ("create", JobState.QUEUED, True),
        ("create", JobState.FAILED, False),
    ],
)
def test_the_sweep_leaves_what_a_job_goes_on_with(store: ModelStore, kind: str, state: JobState, stays: bool) -> None:
    loaded, given = store.blobs.put(b"loaded"), store.blobs.put(b"given")
    for digest in (loaded, given):
        os.utime(store.blobs.path(digest), (1, 1))
    frames = [{"status": "begin"}, {"status": "pulling", "digest": loaded, "total": 6, "completed": 6}]
    Job.objects.create(kind=kind, name="m", state=state, frames=frames, request={"files": {"x.gguf": given}, "adapters": None})
    sweep_store()
    assert [store.blobs.has(digest) for digest in (loaded, given)] == [stays, stays]


def test_a_file_that_is_being_read_is_young_again(store: ModelStore) -> None:
    digest = store.blobs.put(GgufFile().encode())
    os.utime(store.blobs.path(digest), (1, 1))
    read_part(store.blobs, "x.gguf", digest, lambda _: GgufFacts(architecture="llama"))
    sweep_store()
    assert store.blobs.has(digest)


def test_the_admin_looks_and_does_not_touch(store: ModelStore, rf: RequestFactory) -> None:
    add(store, "a")
    catalogue.sync()
    root = get_user_model().objects.create_superuser("root", "", "x")
    request = rf.get("/")
    request.user = root
    for kind, admin in ((Model, ModelAdmin), (Blob, BlobAdmin)):
        registered = site._registry[kind]
        assert isinstance(registered, admin)
        assert not registered.has_add_permission(request)
        assert not registered.has_change_permission(request)
        assert not registered.has_delete_permission(request)
        assert registered.has_view_permission(request)
        assert registered.get_search_results(request, kind.objects.all(), "sha256")[0] is not None
