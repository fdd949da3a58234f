"""Looking through a store: every damage is found, told with what helps, and set aside where that helps (F22, F23, T07)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsite.store import manifest as media
from llmsite.store.check import StoreReport, check_store
from llmsite.store.digest import hash_bytes
from llmsite.store.manifest import Layer, Manifest, encode_manifest
from llmsite.store.model import ModelStore
from llmsite.store.verified import VerifiedBlobs
from llmsite.types.errors import LoadFailed, NotFound
from llmsite.types.name import ModelName

NAMES = ("one", "two", "three")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Three models: weights of their own, a licence that all share; `three` was pulled."""
    store = ModelStore(tmp_path / "models", verified=VerifiedBlobs(tmp_path / "verified"))
    for name in NAMES:
        data = manifest_of(store, weights_of(name))
        store.write(ModelName.parse(name), data if name != "three" else data.rstrip())
    return store


def weights_of(name: str) -> bytes:
    return f"weights of {name}".encode() * 1000


def manifest_of(store: ModelStore, weights: bytes) -> bytes:
    parts = [(media.CONFIG, b"{}"), (media.MODEL, weights), (media.LICENSE, b"all may")]
    config, *layers = (Layer(kind, store.blobs.put(data), len(data)) for kind, data in parts)
    return encode_manifest(Manifest(config, tuple(layers)))


def check(store: ModelStore, *, is_quick: bool = False) -> StoreReport:
    return check_store(store, lambda done, total: None, is_quick=is_quick)


def test_a_whole_store_is_whole_and_its_reading_is_told(store: ModelStore) -> None:
    told: list[tuple[int, int]] = []
    report = check_store(store, lambda done, total: told.append((done, total)))
    assert report.is_whole
    assert (report.num_models, report.num_blobs, report.num_read) == (3, 5, 5)
    total = sum(size for _, size in store.blobs.digests())
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_symlink(path: Path) -> None:
    target = path.parent.parent / "elsewhere"
    path.rename(target)
    path.symlink_to(target)


def make_hard_link(path: Path) -> None:
    (path.parent.parent / "twin").hardlink_to(path)


DAMAGES: dict[str, tuple[Callable[[Path], None], str, bool]] = {
    "bit flip": (flip, "its content is not what it was", True),
    "truncated": (truncate, "its content is not what it was", True),
    "missing": (Path.unlink, "it is missing", False),
    "folder": (make_folder, "a folder stands in its place", True),
    "T07 symbolic link": (make_symlink, "a symbolic link stands in its place", False),
    "T07 hard link": (make_hard_link, "a second name (hard link)", False),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_F22_every_damage_is_found_and_spoils_only_its_model(store: ModelStore, name: str, damage: str) -> None:
    act, problem, is_set_aside = DAMAGES[damage]
    digest = hash_bytes(weights_of(name))
    act(store.blobs.path(digest))
    report = check(store)
    (damaged,) = report.damaged
    assert not report.is_whole
    assert damaged.name.shortest == f"{name}:latest"
    assert damaged.problem.startswith(f"blob {digest}: ")
    assert problem in damaged.problem
    helps = (
        "pull it again: llmsite pull three:latest"
        if name == "three"
        else f"create it again, or remove it: llmsite rm {name}:latest"
    )
    assert damaged.remedy == helps
    assert report.put_aside == ((digest,) if is_set_aside else ())
    with pytest.raises((LoadFailed, NotFound)):
        store.find(name)
    for other in {*NAMES} - {name}:
        store.find(other)


def test_F22_after_a_new_pull_all_is_well(store: ModelStore) -> None:
    flip(store.blobs.path(hash_bytes(weights_of("three"))))
    assert check(store).put_aside
    again = check(store)
    assert "it was set aside" in again.damaged[0].problem, "still damaged, and nothing more to set aside"
    assert again.put_aside == ()
    with pytest.raises(LoadFailed, match=r"^model data is damaged, pull it again$"):
        store.find("three")
    store.blobs.put(weights_of("three"))
    assert check(store).is_whole
    assert not (store.root / "damaged").exists()


def test_a_blob_that_several_models_share_spoils_all_of_them(store: ModelStore) -> None:
    store.blobs.path(hash_bytes(b"all may")).write_bytes(b"nobody may")
    assert [model.name.model for model in check(store).damaged] == ["one", "three", "two"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"null", b'{"config":1}', b'{"config":{}}', b"\0" * 100])
def test_F23_a_manifest_that_cannot_be_read_is_told(store: ModelStore, data: bytes) -> None:
    (store.root / "manifests/registry.ollama.ai/library/two/latest").write_bytes(data)
    (damaged,) = check(store).damaged
    assert (damaged.name.model, damaged.problem.startswith("invalid manifest")) == ("two", True)


def test_F23_a_manifest_that_is_wrong_about_a_size_is_told(store: ModelStore) -> None:
    path = store.root / "manifests/registry.ollama.ai/library/two/latest"
    document = json.loads(path.read_text())
    document["layers"][0]["size"] += 1
    path.write_text(json.dumps(document))
    report = check(store)
    assert "and its manifest says" in report.damaged[0].problem
    assert report.put_aside == (), "the blob is right"


def test_blobs_that_no_model_uses_are_checked_too(store: ModelStore) -> None:
    digest = store.blobs.put(b"unused" * 100)
    flip(store.blobs.path(digest))
    report = check(store)
    assert (report.damaged, report.put_aside, report.is_whole) == ((), (digest,), False)


def test_a_quick_check_reads_what_changed(store: ModelStore) -> None:
    assert check(store, is_quick=True).num_read == 0, "what we wrote was hashed on the way"
    flip(store.blobs.path(hash_bytes(weights_of("two"))))
    report = check(store, is_quick=True)
    assert (report.num_read, [model.name.model for model in report.damaged]) == (1, ["two"])


def test_a_check_that_was_stopped_goes_on_where_it_ended(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "verified").unlink()
    fresh = ModelStore(store.root, verified=VerifiedBlobs(tmp_path / "verified"))

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_store(fresh, stop)
    later = ModelStore(store.root, verified=VerifiedBlobs(tmp_path / "verified"))
    rest = check(later, is_quick=True)
    assert rest.is_whole
    assert 0 < rest.num_read < rest.num_blobs


def test_a_blob_that_a_pull_has_just_replaced_is_left(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hash_bytes(weights_of("two"))
    flip(store.blobs.path(digest))
    verify = store.blobs.verify

    def verify_and_repair(asked: str, *rest: object) -> None:
        try:
            verify(asked, *rest)
        finally:
            if asked == digest:
                store.blobs.path(digest).write_bytes(weights_of("two"))

    monkeypatch.setattr(store.blobs, "verify", verify_and_repair)
    assert check(store).put_aside == ()
    assert store.blobs.has(digest)


def test_an_empty_store_is_whole(tmp_path: Path) -> None:
    assert check(ModelStore(tmp_path / "nothing")).is_whole
