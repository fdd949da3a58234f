"""Killed writers, failing disks, and several processes in one store: faults F09, F11, F19 for what the store does itself."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from llmsite.store import disk
from llmsite.store.digest import hash_bytes
from llmsite.store.model import ModelStore
from llmsite.types.errors import NotFound, StorageFailed, StorageFull
from tests.store.churn import FAR, NAMES, TEXTS, churn, install, manifest_of
from tests.store.listing import list_models

PAIRS = {manifest_of((one, two)) for one in TEXTS for two in TEXTS if one != two}
"""Every manifest that may ever be complete."""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Fresh processes that need no second for their imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.store.churn"])
    return context


def check(store: ModelStore) -> None:
    """Whatever is listed is whole, and a sweep leaves only what it needs."""
    store.sweep(FAR)
    files = list(store.manifests.files())
    assert all(file.path.read_bytes() in PAIRS for file in files), "old or new, never half"
    models = list_models(store)
    assert len(models) == len(files)
    for model in models:
        store.find(model.name)
        for digest in model.manifest.digests:
            store.blobs.verify(digest)
    used = {digest for model in models for digest in model.manifest.digests}
    assert {entry.name for entry in store.blobs.folder.iterdir()} == {digest.replace(":", "-") for digest in used}


def test_F09_killed_before_any_change_of_the_disk(tmp_path: Path, processes: ForkServerContext) -> None:
    """One store through 60 kills, each at a later step than chance has tried before."""
    chance = random.Random(9)
    for round_ in range(60):
        process = processes.Process(target=churn, args=(tmp_path, round_, chance.randrange(1, 120)))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        check(ModelStore(tmp_path))


def test_F09_killed_at_any_moment_while_others_work_on(tmp_path: Path, processes: ForkServerContext) -> None:
    """Two processes change the store; one is killed again and again, and the survivor notices nothing."""
    survivor = processes.Process(target=churn, args=(tmp_path, 1))
    survivor.start()
    chance = random.Random(90)
    try:
        for round_ in range(20):
            victim = processes.Process(target=churn, args=(tmp_path, 100 + round_))
            victim.start()
            victim.join(chance.uniform(0.02, 0.1))  # any moment will do: the kill is the point
            victim.kill()
            victim.join()
            assert survivor.is_alive()
    finally:
        survivor.kill()
        survivor.join()
    check(ModelStore(tmp_path))


def test_F09_an_interrupted_removal_is_finished_by_the_next_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ModelStore(tmp_path)
    install(store, NAMES[0], ("shared by all", "a"))
    install(store, NAMES[1], ("shared by all", "b"))
    with monkeypatch.context() as patch:
        patch.setattr(disk, "remove", fail_at(disk.remove, 2, errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            store.remove(NAMES[0])
    assert [model.name for model in list_models(store)] == [NAMES[1]], "the name goes first"
    assert store.blobs.has(hash_bytes(b"a")) or store.blobs.has(hash_bytes(b"shared by all"))
    check(store)
    assert store.find(NAMES[1]).licenses == ("shared by all", "b")


def test_F19_a_sweep_takes_nothing_from_a_writer_in_another_process(tmp_path: Path, processes: ForkServerContext) -> None:
    """The writer's blobs are unused until its manifest is there; the sweeper takes them for old all the same."""
    sweeper = processes.Process(target=sweep_for_ever, args=(tmp_path,))
    sweeper.start()
    store = ModelStore(tmp_path)
    rounds = lost = 0
    try:
        while rounds - lost < 30:
            rounds += 1
            assert rounds < 3000, "nearly every write is lost: the sweeper waits for nobody"
            name, texts = NAMES[rounds % 3], (TEXTS[rounds % 5], TEXTS[(rounds + 1) % 5])
            try:
                install(store, name, texts)
            except (NotFound, StorageFailed):  # swept before its manifest came, which is told: no hour protects here
                lost += 1
                continue
            for digest in store.find(name).manifest.digests:
                store.blobs.verify(digest)
        assert sweeper.is_alive()
    finally:
        sweeper.kill()
        sweeper.join()
    check(store)


def sweep_for_ever(root: Path) -> None:
    """A sweep for which every file is old enough."""
    store = ModelStore(root)
    while True:
        store.sweep(FAR)


# a failing disk


def fail_at(act: Callable[..., object], nth: int, code: int) -> Callable[..., object]:
    """`act`, whose n-th call fails."""
    calls = iter(range(1, 1_000_000))

    def acting(*args: object) -> object:
        if next(calls) == nth:
            raise OSError(code, os.strerror(code))
        return act(*args)

    return acting


def steps(store: ModelStore, name: str) -> int:
    """How often installing a model calls this."""
    count = 0

    def counting(*args: object) -> object:
        nonlocal count
        count += 1
        return act(*args)

    act = getattr(disk, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, name, counting)
        install(store, NAMES[2], ("two and three", "b"))
    return count


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[ModelStore]:
    """A store with a model, which a second one shares."""
    store = ModelStore(tmp_path / "store")
    store.root.mkdir()
    install(store, NAMES[0], ("shared by all", "a"))
    yield store
    check(store)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("name", ["create", "write", "sync", "rename", "sync_folder"])
def test_F11_a_disk_that_fails_is_never_a_success(
    installed: ModelStore, tmp_path: Path, name: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call of it fails once; the model that was there stays, and the same work then succeeds."""
    elsewhere = ModelStore(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    install(elsewhere, NAMES[0], ("shared by all", "a"))
    total = steps(elsewhere, name)
    assert total >= 3
    for nth in range(1, total + 1):
        with monkeypatch.context() as patch:
            patch.setattr(disk, name, fail_at(getattr(disk, name), nth, code))
            with pytest.raises(StorageFull if code == errno.ENOSPC else StorageFailed, match="the disk of the model store"):
                install(installed, NAMES[2], ("two and three", "b"))
        assert installed.find(NAMES[0]).licenses == ("shared by all", "a")
        assert not [path for path in installed.blobs.folder.iterdir() if path.name.startswith("upload-")]
        install(installed, NAMES[2], ("two and three", "b"))
        installed.remove(NAMES[2])


def test_F11_a_file_whose_sync_failed_is_not_synced_again(installed: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def fail(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync", fail)
        for _ in range(2):
            with pytest.raises(StorageFailed):
                installed.blobs.put(b"new")
    assert len(synced) == 2, "one try a file"
    assert not installed.blobs.has(hash_bytes(b"new"))


def test_F11_a_removal_that_the_disk_did_not_keep_removes_no_blob(installed: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync_folder", fail_at(disk.sync_folder, 1, errno.EIO))
        with pytest.raises(StorageFailed):
            installed.remove(NAMES[0])
    assert installed.blobs.has(hash_bytes(b"a"))
