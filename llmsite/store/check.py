"""Looks through a whole store: are the manifests readable, is every blob what its name says; sets damaged blobs aside (F22, F23).

What is found is told, model by model, with what to do. Nothing is deleted, and models that are whole are served meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from llmsite.store.manifest import Manifest, decode_manifest
from llmsite.store.manifest_files import ManifestFile
from llmsite.store.model import ModelStore
from llmsite.types.errors import InvalidModelFile, LoadFailed, ModelNotFound, NotFound
from llmsite.types.name import ModelName

OnProgress = Callable[[int, int], None]
"""Told how many bytes of how many have been read."""


@dataclass(frozen=True, slots=True)
class DamagedModel:
    """A model that cannot be used: what is wrong with it, and what helps."""

    name: ModelName
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class StoreReport:
    """`put_aside` and `unreadable` are digests; of `num_blobs`, `num_read` were read, the others are known to be right."""

    num_models: int
    num_blobs: int
    num_read: int
    damaged: tuple[DamagedModel, ...]
    put_aside: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return not (self.damaged or self.put_aside or self.unreadable)


def check_store(store: ModelStore, on_progress: OnProgress, *, is_quick: bool = False) -> StoreReport:
    """Read every blob, or with `is_quick` those that changed since they were last found right. Blocks for as long as that takes.

    May be stopped at any time: what was verified is remembered.
    """
    manifests = dict(_read_manifests(store))
    present = dict(store.blobs.digests())
    used = {digest for manifest in manifests.values() if isinstance(manifest, Manifest) for digest in manifest.digests}
    wanted = [digest for digest in sorted(present) if not (is_quick and store.blobs.is_verified(digest))]
    problems = _verify(store, wanted, present, on_progress)
    problems |= {digest: problem for digest in used - present.keys() if (problem := _what_is_missing(store, digest))}
    put_aside = [digest for digest, problem in problems.items() if problem.is_movable and _put_aside(store, digest)]
    store.blobs.verified.keep_only(present.keys() - problems.keys())
    return StoreReport(
        num_models=len(manifests),
        num_blobs=len(present),
        num_read=len(wanted),
        damaged=tuple(_damaged_models(store, manifests, problems)),
        put_aside=tuple(put_aside),
        unreadable=tuple(digest for digest, problem in problems.items() if digest in present and digest not in put_aside),
    )


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is wrong with a blob. `is_movable`: it can be set aside, so that a pull fetches it anew."""

    text: str
    is_movable: bool = False


def _read_manifests(store: ModelStore) -> Iterator[tuple[ManifestFile, Manifest | str]]:
    """Every model's manifest, or why it cannot be read."""
    for file in store.manifests.files():
        try:
            yield file, decode_manifest(store.read_manifest(file), store.limits)
        except (InvalidModelFile, LoadFailed) as error:
            yield file, str(error)
        except ModelNotFound:
            continue  # removed meanwhile


def _verify(store: ModelStore, digests: list[str], sizes: Mapping[str, int], on_progress: OnProgress) -> dict[str, _Problem]:
    total = sum(sizes[digest] for digest in digests)
    done = 0
    problems: dict[str, _Problem] = {}

    def advance(num_bytes: int) -> None:
        nonlocal done
        done += num_bytes
        on_progress(done, total)

    for digest in digests:
        try:
            store.blobs.verify(digest, advance)
        except NotFound:
            continue  # removed meanwhile; if a model needs it, that is found below
        except LoadFailed as error:
            is_read_error = isinstance(error.__cause__, OSError)
            problems[digest] = _Problem(str(error) if is_read_error else "its content is not what it was", not is_read_error)
        except OSError as error:
            problems[digest] = _Problem(f"it cannot be read: {error.strerror}")
    return problems


def _what_is_missing(store: ModelStore, digest: str) -> _Problem | None:
    """Why a blob that a model needs is not among the plain files of the store."""
    try:
        store.blobs.size(digest)
    except NotFound:
        return _Problem("it is missing")
    except LoadFailed:
        path = store.blobs.path(digest)
        if path.is_symlink():
            return _Problem("a symbolic link stands in its place, and links are not followed")
        if path.is_dir():
            return _Problem("a folder stands in its place", is_movable=True)
        if path.exists():
            return _Problem("its file has a second name (hard link), so others may change it; copy the store for real")
        return _Problem("its content was not what it had been; it was set aside")
    return None  # it came meanwhile


def _put_aside(store: ModelStore, digest: str) -> bool:
    """Set a blob aside, unless a pull has just replaced it by a right one."""
    try:
        store.blobs.verify(digest)
    except LoadFailed:
        store.blobs.put_aside(digest)
        return True
    except NotFound:
        pass
    return False


def _damaged_models(
    store: ModelStore, manifests: Mapping[ManifestFile, Manifest | str], problems: Mapping[str, _Problem]
) -> Iterator[DamagedModel]:
    for file, manifest in sorted(manifests.items(), key=lambda item: str(item[0].name)):
        problem = manifest if isinstance(manifest, str) else _first_problem(store, manifest, problems)
        if problem:
            yield DamagedModel(file.name, problem, _remedy(file))


def _first_problem(store: ModelStore, manifest: Manifest, problems: Mapping[str, _Problem]) -> str:
    for layer in (manifest.config, *manifest.layers):
        if layer.digest in problems:
            return f"blob {layer.digest}: {problems[layer.digest].text}"
        try:
            found = store.blobs.size(layer.digest)
        except (NotFound, LoadFailed):
            return f"blob {layer.digest}: it is missing"
        if found != layer.size_bytes:
            return f"blob {layer.digest} has {found} bytes, and its manifest says {layer.size_bytes}"
    return ""


def _remedy(file: ManifestFile) -> str:
    """Manifests of registries do not end in a newline, those that were made here do (catalogue 10.2)."""
    name = file.name.shortest
    try:
        with file.path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            is_made_here = stream.read(1) == b"\n"
    except OSError:
        is_made_here = False
    return f"create it again, or remove it: llmsite rm {name}" if is_made_here else f"pull it again: llmsite pull {name}"
