"""What the disk does not give: it spoils only its own model, the error names that, and nothing is removed meanwhile."""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmsite.store import manifest as media
from llmsite.store.manifest import Layer, Manifest, encode_manifest
from llmsite.store.model import ModelStore
from llmsite.types.errors import InvalidModelFile, InvalidModelName, LoadFailed, ModelNotFound, StorageFailed
from llmsite.types.name import ModelName

LIBRARY = "manifests/registry.ollama.ai/library"
HOUR = 3600.0
TOO_LONG = ModelName.parse("h" * 300 + "/n/m:t")


def install(store: ModelStore, name: str, config: bytes = b"{}") -> None:
    entries = [
        Layer(kind, store.blobs.put(data), len(data)) for kind, data in ((media.MODEL, name.encode()), (media.SYSTEM, b"s"))
    ]
    manifest = Manifest(Layer(media.CONFIG, store.blobs.put(config), len(config)), tuple(entries))
    store.write(ModelName.parse(name), encode_manifest(manifest))


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path)
    install(store, "good")
    install(store, "bad")
    store.blobs.put(b"unused")
    for path in (tmp_path / "blobs").iterdir():
        os.utime(path, (1, 1))
    return store


def refuse(monkeypatch: pytest.MonkeyPatch, function: str, path: Path, code: int) -> None:
    """Let a call of `os` fail for one path, as it does for people who are not root."""
    real = getattr(os, function)

    def refusing(asked: Any = ".", *args: Any, **kwargs: Any) -> Any:
        if os.fspath(asked) == os.fspath(path):
            raise OSError(code, os.strerror(code), os.fspath(asked))
        return real(asked, *args, **kwargs)

    monkeypatch.setattr(os, function, refusing)


def closed_folder(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "scandir", store.root / LIBRARY / "bad", errno.EACCES)


def broken_disk(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "stat", store.root / LIBRARY / "bad/latest", errno.EIO)


def link_to_itself(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.root / LIBRARY / "bad/latest"
    path.unlink()
    path.symlink_to(path)


def folder_that_is_a_link_to_itself(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.root / LIBRARY / "bad"
    (path / "latest").unlink()
    path.rmdir()
    path.symlink_to(path)


@pytest.mark.parametrize("damage", [closed_folder, broken_disk, link_to_itself, folder_that_is_a_link_to_itself])
def test_a_manifest_that_cannot_be_looked_at_is_skipped_and_stops_every_removal_of_blobs(
    store: ModelStore,
    damage: Callable[[ModelStore, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(store, monkeypatch)
    blobs = {path.name for path in store.blobs.folder.iterdir()}
    assert [file.name.model for file in store.manifests.files()] == ["good"]
    assert "skipping" in caplog.text
    assert store.find("good").system == "s"
    assert store.sweep(10 * HOUR) == 0
    store.remove(ModelName.parse("good"))
    assert {path.name for path in store.blobs.folder.iterdir()} == blobs
    assert "removing no blobs" in caplog.text


def test_a_manifest_that_the_disk_does_not_give_is_told_by_name(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_disk(store, monkeypatch)
    for act in (store.find, store.remove, lambda name: store.copy(name, ModelName.parse("copy"))):
        with pytest.raises(LoadFailed, match=r"^the manifest of 'bad:latest' cannot be read: Input/output error$"):
            act(ModelName.parse("bad"))


def test_a_manifest_that_fails_while_it_is_read_is_told_by_name(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    other = ModelStore(store.root)
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(LoadFailed, match=r"^the manifest of 'bad:latest' cannot be read: Input/output error$"):
        other.find("bad")
    assert other.sweep(10 * HOUR) == 0


@pytest.fixture
def unreadable_bytes(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """A store whose blobs open and then do not read; the kernel gives no page 0."""
    other = ModelStore(store.root)
    monkeypatch.setattr(other.blobs, "open", lambda digest: Path("/proc/self/mem").open("rb"))  # noqa: SIM115  closed by who reads
    return other


def test_a_text_that_does_not_read_is_told_with_the_model(unreadable_bytes: ModelStore) -> None:
    with pytest.raises(LoadFailed, match=r"^blob sha256:[0-9a-f]{64} of 'bad:latest' cannot be read: Input/output error$"):
        unreadable_bytes.find("bad")


def test_nesting_in_a_config_spoils_only_its_model(store: ModelStore) -> None:
    with pytest.raises(InvalidModelFile, match=r"^the config of the model cannot be read: nested too deeply$"):
        install(store, "deep", b'{"rootfs":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_a_name_that_the_disk_does_not_take_is_no_model_and_makes_none(store: ModelStore) -> None:
    for act in (store.find, store.remove):
        with pytest.raises(ModelNotFound):
            act(TOO_LONG)
    with pytest.raises(InvalidModelName, match="longer than the disk of the model store takes"):
        store.copy(ModelName.parse("good"), TOO_LONG)


def test_names_that_are_too_long_are_no_line_in_the_log(store: ModelStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(ModelNotFound):
        store.find(TOO_LONG)
    assert caplog.text == ""


def test_a_model_whose_blobs_belong_to_another_account_can_be_copied(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the owner of a file may make it young."""
    for digest, _ in store.blobs.digests():
        refuse(monkeypatch, "utime", store.blobs.path(digest), errno.EACCES)
    assert store.copy(ModelName.parse("good"), ModelName.parse("copy")).digest == store.find("good").digest


def test_a_store_that_takes_nothing_says_so(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_all(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse_all)
    monkeypatch.setattr(os, "utime", refuse_all)
    for act in (lambda: store.copy(ModelName.parse("good"), ModelName.parse("copy")), lambda: store.blobs.put(b"new")):
        with pytest.raises(StorageFailed, match=r"does not take what is written \(Permission denied\); nothing was changed"):
            act()
