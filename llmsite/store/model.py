"""ModelStore: the installed models by name, and what goes when one goes. What a model says is in `stored_model.py`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import copy as shallow_copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from llmsite.store import disk
from llmsite.store import manifest as media
from llmsite.store.blobs import DAMAGED, BlobStore
from llmsite.store.disk import reporting_full_disk
from llmsite.store.manifest import decode_manifest
from llmsite.store.manifest_files import ManifestFile, ManifestFolder
from llmsite.store.stored_model import ReadManifest, StoredModel, resolve
from llmsite.store.verified import VerifiedBlobs
from llmsite.types.errors import InvalidModelFile, LoadFailed, ModelNotFound, NotFound
from llmsite.types.limits import Limits
from llmsite.types.name import ModelName, strip_source

logger = logging.getLogger(__name__)

_SETTLED_NS: Final = 1_000_000_000
_WEIGHTS: Final = frozenset({media.MODEL, media.PROJECTOR, media.ADAPTER})


@dataclass(frozen=True, slots=True)
class _Known:
    """A manifest file that was read, and its model once somebody asked for it.

    One that is not settled was read so soon after its change that another change would not show in its time; it is read again.
    """

    file: ManifestFile
    read: ReadManifest
    model: StoredModel | None
    is_settled: bool


class ModelStore:
    """The models under `root` (`manifests/` and `blobs/`), by name. The manifest file is the commit point of a model.

    Safe to use from several threads and processes. `prunes`: a replaced model's blobs go when nobody else uses them.
    """

    def __init__(
        self, root: Path, limits: Limits | None = None, *, prunes: bool = True, verified: VerifiedBlobs | None = None
    ) -> None:
        self.root = root
        self.limits = limits or Limits()
        self.prunes = prunes
        self.blobs = BlobStore(root / "blobs", self.limits, verified)
        self.manifests = ManifestFolder(root / "manifests")
        self.before_write: Callable[[], None] = lambda: None
        # what was read, by the file's path, until the file changes; one entry is replaced at a time, so threads need no lock
        self._known: dict[Path, _Known] = {}

    def guarded(self, confirm: Callable[[], None]) -> ModelStore:
        """This store for somebody whose work may be in vain: `write` calls `confirm` under the lock, and raises what it raises.

        `remove` waits for that lock, so after it no model comes from work that was told to end before.
        """
        guarded = shallow_copy(self)
        guarded.before_write = confirm
        return guarded

    def find(self, name: ModelName | str) -> StoredModel:
        """The model of that name, letter case aside. Raises `InvalidModelName` or `ModelNotFound` with the name as given.

        Its weights were there a moment ago, with the right size: `NotFound` or `LoadFailed` otherwise.
        """
        shown = name if isinstance(name, str) else name.shortest
        parsed = ModelName.parse(strip_source(name)) if isinstance(name, str) else name
        file = self.manifests.find(parsed)
        if file is None:
            raise ModelNotFound(f"model '{shown}' not found")
        model = self.load(file)
        for layer in model.manifest.layers:
            if layer.media_type in _WEIGHTS:
                self.blobs.checked_path(layer.digest, layer.size_bytes)
        return model

    def needs_hash(self, model: StoredModel) -> bool:
        """Whether weights of this model have changed since they were found right, and are small enough to hash at each change."""
        return bool(self._unverified(model))

    def verify(self, model: StoredModel) -> None:
        """Hash the weights that need it, and set aside what is damaged. Blocks. Raises `NotFound`, `LoadFailed`."""
        for digest in self._unverified(model):
            try:
                self.blobs.verify(digest)
            except LoadFailed as error:
                if str(error) == DAMAGED:
                    self.blobs.put_aside(digest)
                raise

    def _unverified(self, model: StoredModel) -> tuple[str, ...]:
        small = (layer for layer in model.manifest.layers if layer.size_bytes <= self.limits.load_hash_bytes)
        return tuple(each.digest for each in small if each.media_type in _WEIGHTS and not self.blobs.is_verified(each.digest))

    def load(self, file: ManifestFile) -> StoredModel:
        """What stands in a manifest file and its small blobs. Raises `InvalidModelFile`, `NotFound`, `LoadFailed`."""
        known = self._look(file)
        if known.model is not None:
            return known.model
        model = resolve(file, known.read, self.blobs)
        self._known[file.path] = replace(known, model=model)
        return model

    def read_manifest(self, file: ManifestFile) -> bytes:
        """A manifest's bytes as they are, for others to take. Raises `InvalidModelFile`, `LoadFailed`."""
        self._look(file)
        return _read_bytes(file)

    def write(self, name: ModelName, data: bytes) -> StoredModel:
        """Install or replace: `data` become the manifest's bytes. Its blobs must be there, and what they say must be readable.

        Raises `InvalidModelFile`, `NotFound`, `LoadFailed`, `StorageFull`; then nothing has changed.
        """
        manifest = decode_manifest(data, self.limits)
        with self.manifests.locked(exclusive=False):
            self.before_write()
            for digest in manifest.digests:
                self.blobs.touch(digest)
            read = ReadManifest.of(data, manifest)
            model = resolve(ManifestFile(name, Path(), 0, len(data)), read, self.blobs)
            with reporting_full_disk():
                disk.sync_folder(self.blobs.folder)  # some may be another writer's, whose last step is still to come
            replaced = self.manifests.find(name)
            old = self._digests(replaced) if replaced else frozenset()
            self.blobs.require_space(len(data))
            file = self.manifests.write(replaced.name if replaced else name, data)
            # as it was written: it may be gone again as soon as others get the lock
            model = replace(model, name=file.name, modified_ns=file.modified_ns)
            self._known[file.path] = _Known(file, read, model, is_settled=False)
        if self.prunes and old - manifest.digests:
            with self.manifests.locked(exclusive=True):
                self._remove_unused(old)
        return model

    def canonical(self, name: ModelName) -> ModelName:
        """The name in the spelling of what is installed: each part that differs from one there in letter case only becomes that.

        The parts are looked at one by one (catalogue 1.3), so a new tag of an installed model joins the others.
        """
        known = [file.name.parts for file in self.manifests.files()]
        spelled = [_spelled_as(part, {parts[place] for parts in known}) for place, part in enumerate(name.parts)]
        return replace(ModelName(*spelled), scheme=name.scheme)

    def discard(self, made: Mapping[str, int]) -> None:
        """Remove blobs that were made in vain: digest to the time in nanoseconds at which each came.

        One that a model uses stays, and one that somebody else has touched since.
        """
        with self.manifests.locked(exclusive=True):
            self._remove_unused(digest for digest, modified_ns in made.items() if self.blobs.modified_ns(digest) == modified_ns)

    def copy(self, source: ModelName, target: ModelName) -> StoredModel:
        """The same bytes under another name. Raises `ModelNotFound`."""
        gone = ModelNotFound(f"model '{source.shortest}' not found")
        file = self.manifests.find(source)
        if file is None:
            raise gone
        try:
            return self.write(target, _read_bytes(file))
        except NotFound as error:
            if self.manifests.find(source) is None:  # removed since
                raise gone from error
            raise

    def remove(self, name: ModelName) -> None:
        """Remove the manifest, readable or not, and the blobs nobody else uses. Raises `ModelNotFound`."""
        with self.manifests.locked(exclusive=True):
            file = self.manifests.find(name)
            if file is None:
                raise ModelNotFound(f"model '{name.shortest}' not found")
            old = self._digests(file)
            self.manifests.remove(file)
            self._known.pop(file.path, None)
            self._remove_unused(old)

    def remove_unused(self, digests: Iterable[str]) -> None:
        """Remove those of the blobs that no model names."""
        with self.manifests.locked(exclusive=True):
            self._remove_unused(digests)

    def sweep(self, now: float, kept: Iterable[str] = ()) -> int:
        """Remove what nobody uses and is older than an hour; returns how many blobs went. `now`: seconds since 1970.

        `kept`: digests that are needed though no model names them yet. Nothing goes while a manifest cannot be read, since its
        blobs are not known (catalogue 10.5).
        """
        with self.manifests.locked(exclusive=True):
            used = self._used_digests()
            if used is None:
                return 0
            removed = self.blobs.sweep(used.union(kept), now)
            self.manifests.sweep(now)
            return removed

    def _look(self, file: ManifestFile) -> _Known:
        """What is in a manifest file. Raises `InvalidModelFile`, `LoadFailed`, `ModelNotFound` when it was removed meanwhile."""
        before = self._known.get(file.path)
        if before is not None and before.file == file and before.is_settled:
            return before
        if file.size_bytes > self.limits.manifest_bytes:
            raise InvalidModelFile(f"invalid manifest: larger than {self.limits.manifest_bytes} bytes")
        data = _read_bytes(file)
        read = ReadManifest.of(data, decode_manifest(data, self.limits))
        model = before.model if before is not None and (before.file, before.read.digest) == (file, read.digest) else None
        is_settled = time.time_ns() - file.modified_ns > _SETTLED_NS
        known = self._known[file.path] = _Known(file, read, model, is_settled)
        return known

    def _digests(self, file: ManifestFile) -> frozenset[str]:
        """The blobs a manifest names; none when it cannot be read."""
        try:
            return self._look(file).read.manifest.digests
        except (InvalidModelFile, LoadFailed, ModelNotFound):
            return frozenset()

    def _used_digests(self) -> frozenset[str] | None:
        """Blobs that any model uses; None when a manifest cannot be read."""
        used: set[str] = set()
        paths: set[Path] = set()
        try:
            for file in self.manifests.files(_raise):
                paths.add(file.path)
                with suppress(ModelNotFound):  # removed meanwhile
                    used |= self._look(file).read.manifest.digests
        except OSError as error:
            logger.warning("removing no blobs: %s cannot be read: %s", error.filename, error.strerror)
            return None
        except (InvalidModelFile, LoadFailed) as error:
            logger.warning("removing no blobs: model %s: %s", file.name.shortest, error)
            return None
        for path in [each for each in list(self._known) if each not in paths]:  # others have removed them
            self._known.pop(path, None)
        return frozenset(used)

    def _remove_unused(self, digests: Iterable[str]) -> None:
        used = self._used_digests()
        if used is None:
            return
        for digest in digests:
            if digest not in used:
                self.blobs.remove(digest)


def _raise(error: OSError) -> None:
    raise error


def _read_bytes(file: ManifestFile) -> bytes:
    """The file as it is. Raises `ModelNotFound` when it was removed, `LoadFailed` when the disk does not give it."""
    try:
        return file.path.read_bytes()
    except FileNotFoundError as error:
        raise ModelNotFound(f"model '{file.name.shortest}' not found") from error
    except OSError as error:
        raise LoadFailed(f"the manifest of '{file.name.shortest}' cannot be read: {error.strerror}") from error


def _spelled_as(part: str, known: set[str]) -> str:
    """The first known spelling of a part, itself if it is one."""
    same = [each for each in known if each.casefold() == part.casefold()]
    return part if part in same or not same else min(same)
