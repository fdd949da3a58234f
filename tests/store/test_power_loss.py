"""Power cuts at every step of what the store does (F12): whatever the disk kept, what is listed is whole.

The images come from `crash_disk.py`. Each is recovered as a start does it, and then the interrupted work is simply done again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from llmsite.store import manifest as media
from llmsite.store.digest import hash_bytes
from llmsite.store.manifest import Layer, Manifest, encode_manifest, manifest_digest
from llmsite.store.model import ModelStore
from llmsite.types.name import ModelName
from tests.store.crash_disk import CrashDisk, images, materialise
from tests.store.listing import list_models

FAR = 4_000_000_000.0
NAME, OTHER, COPY = (ModelName.parse(name) for name in ("h/n/m:t", "other", "copy"))
CONFIG, WEIGHTS = b'{"model_format":"gguf"}', b"weights of both"


def manifest_of(*texts: str) -> bytes:
    def layer(media_type: str, data: bytes) -> Layer:
        return Layer(media_type, hash_bytes(data), len(data))

    texts_of = [layer(media.LICENSE, text.encode()) for text in texts]
    return encode_manifest(Manifest(layer(media.CONFIG, CONFIG), (layer(media.MODEL, WEIGHTS), *texts_of)))


OLD, NEW = manifest_of("shared", "old"), manifest_of("shared", "new")


def install(store: ModelStore, name: ModelName, *texts: str) -> None:
    for data in (CONFIG, WEIGHTS, *(text.encode() for text in texts)):
        store.blobs.put(data)
    store.write(name, manifest_of(*texts))


def rename_to_old_style(store: ModelStore) -> None:
    for path in list(store.blobs.folder.iterdir()):
        path.rename(path.with_name(path.name.replace("-", ":")))


def two_models(store: ModelStore) -> None:
    install(store, OTHER, "shared")
    install(store, NAME, "shared", "old")


def leftovers(store: ModelStore) -> None:
    two_models(store)
    store.blobs.put(b"nobody's")
    (store.manifests.folder / "h/n/empty").mkdir()


Act = Callable[[ModelStore], object]
# what is there before, what is done, and the manifests that the name may have after a cut and must have at the end
CASES: dict[str, tuple[Act, Act, set[bytes | None], bytes | None]] = {
    "the first model": (lambda store: None, lambda store: install(store, NAME, "shared", "new"), {None, NEW}, NEW),
    "a blob": (two_models, lambda store: store.blobs.put(b"more"), {OLD}, OLD),
    "a model replaced": (two_models, lambda store: install(store, NAME, "shared", "new"), {OLD, NEW}, NEW),
    "a copy": (two_models, lambda store: store.copy(NAME, COPY), {OLD}, OLD),
    "a model removed": (two_models, lambda store: store.remove(NAME), {OLD, None}, None),
    "a sweep": (leftovers, lambda store: store.sweep(FAR), {OLD}, OLD),
    "an upgrade": (lambda store: (two_models(store), rename_to_old_style(store)), lambda store: store.blobs.adopt(), {OLD}, OLD),
}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    root = tmp_path / "store"
    root.mkdir()
    return ModelStore(root)


@pytest.mark.parametrize("case", CASES)
def test_F12_after_a_power_cut_every_name_leads_to_a_whole_model(
    store: ModelStore, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, act, possible, certain = CASES[case]
    before(store)
    has_other = store.manifests.find(OTHER) is not None
    with monkeypatch.context() as patch:
        crash = CrashDisk(store.root, patch)
        act(store)
    count, seen = 0, set()
    for step, state in enumerate(crash.states):
        for tree in images(state):
            key = json.dumps(tree, default=lambda data: data.hex(), sort_keys=True)
            is_end = step == len(crash.states) - 1
            if key in seen and not is_end:
                continue
            seen.add(key)
            count += 1
            image = tmp_path / "image"
            materialise(tree, image)
            try:
                recovered = recover(image)
                found = manifest_bytes(recovered, NAME)
                assert found in ({certain} if is_end else possible), f"{case}: after {crash.steps[: step + 1]}"
                assert not has_other or manifest_bytes(recovered, OTHER) == manifest_of("shared")
                if case != "a model removed" or found is not None:
                    act(recovered)
                assert manifest_bytes(recovered, NAME) == certain
                check_whole(recovered)
            finally:
                shutil.rmtree(image)
    print(f"{case}: {count} images of {len(crash.steps)} steps")  # noqa: T201 - the figure of F12
    assert count >= 4, "the store does what it does through disk.py"


def recover(root: Path) -> ModelStore:
    """What a start does, and then nothing may be left that is not whole and not used."""
    store = ModelStore(root)
    store.blobs.adopt()
    store.sweep(FAR)
    check_whole(store)
    used = {digest for model in list_models(store) for digest in model.manifest.digests}
    assert {digest for digest, _ in store.blobs.digests()} == used, "nothing unused is left"
    folder = store.blobs.folder
    assert not folder.exists() or len(list(folder.iterdir())) == len(used), "nothing unfinished is left"
    return store


def check_whole(store: ModelStore) -> None:
    files = list(store.manifests.files())
    models = list_models(store)
    assert len(models) == len(files), "every manifest can be read"
    for model in models:
        store.find(model.name)
        for digest in model.manifest.digests:
            store.blobs.verify(digest)


def manifest_bytes(store: ModelStore, name: ModelName) -> bytes | None:
    file = store.manifests.find(name)
    return None if file is None else file.path.read_bytes()


def test_the_images_are_those_a_disk_may_leave(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that forgot to sync would be found out."""
    install(store, OTHER, "shared")
    with monkeypatch.context() as patch:
        crash = CrashDisk(store.root, patch)
        patch.setattr("llmsite.store.disk.sync", lambda descriptor: None)
        store.blobs.put(b"not synced")
    name = hash_bytes(b"not synced").replace(":", "-")
    contents = {tree["blobs"].get(name) for tree in images(crash.states[-1])}
    assert contents == {b"", b"not s", b"\0" * 10, b"not synced"}, "the name is certain, what it leads to is not"
    before = crash.states[crash.steps.index("rename")]
    assert {name in tree["blobs"] for tree in images(before)} == {False, True}
    assert manifest_digest(OLD) != manifest_digest(NEW)
