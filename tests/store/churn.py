"""What `test_faults.py` kills: a process that writes, copies, removes, prunes and sweeps three models that share layers.

`churn` ends when it is killed; `stop_at` kills it before its n-th change of the disk, whichever that is.
"""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmsite.store import disk
from llmsite.store import manifest as media
from llmsite.store.digest import hash_bytes
from llmsite.store.manifest import Layer, Manifest, encode_manifest
from llmsite.store.model import ModelStore
from llmsite.types.errors import NotFound, StorageFailed
from llmsite.types.name import ModelName

FAR = 4_000_000_000.0
NAMES = tuple(ModelName.parse(name) for name in ("one", "two", "h/n/three:t"))
CONFIG, WEIGHTS = b'{"model_format":"gguf"}', b"weights of all three" * 50
TEXTS = ("shared by all", "one and two", "two and three", "a", "b")
_CHANGES = ("create", "write", "sync", "rename", "remove", "remove_folder", "sync_folder")


def manifest_of(texts: tuple[str, ...]) -> bytes:
    def layer(media_type: str, data: bytes) -> Layer:
        return Layer(media_type, hash_bytes(data), len(data))

    return encode_manifest(
        Manifest(layer(media.CONFIG, CONFIG), (layer(media.MODEL, WEIGHTS), *(layer(media.LICENSE, t.encode()) for t in texts)))
    )


def install(store: ModelStore, name: ModelName, texts: tuple[str, ...]) -> None:
    for data in (CONFIG, WEIGHTS, *(text.encode() for text in texts)):
        store.blobs.put(data)
    store.write(name, manifest_of(texts))


def churn(root: Path, seed: int, stop_at: int | None = None) -> None:
    """Change the store for ever, in an order that `seed` decides."""
    if stop_at is not None:
        _count_down(stop_at)
    chance = random.Random(seed)
    store = ModelStore(root)
    while True:
        with suppress(NotFound, StorageFailed):  # what another process took away in between
            change(store, chance)


def change(store: ModelStore, chance: random.Random) -> None:
    """One of the things that happen to models."""
    name = chance.choice(NAMES)
    match chance.randrange(5):
        case 0 | 1:
            install(store, name, tuple(chance.sample(TEXTS, 2)))
        case 2:
            store.remove(name)
        case 3:
            store.copy(name, chance.choice(NAMES))
        case _:
            store.sweep(FAR)


def _count_down(stop_at: int) -> None:
    left = [stop_at]

    def counting(act: Any) -> Any:
        def acting(*args: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*args)

        return acting

    for name in _CHANGES:
        setattr(disk, name, counting(getattr(disk, name)))
