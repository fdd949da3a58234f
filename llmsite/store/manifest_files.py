"""The folder `manifests/`: one JSON file per model, found by name whatever its letter case, replaced atomically.

Only files exactly four levels below count (catalogue 10.1); links are followed here, since people move parts of a store.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmsite.store import disk
from llmsite.store.disk import reporting_full_disk
from llmsite.types.errors import InvalidModelName, LoadFailed
from llmsite.types.name import DEFAULT_HOST, ModelName

logger = logging.getLogger(__name__)

_TEMPORARY_PREFIX: Final = ".new-"
_SWEEP_AGE_SECONDS: Final = 3600


_NOT_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
OnError = Callable[[OSError], None]
"""Told of a file or folder that cannot be looked at; it may raise."""


def _skip(error: OSError) -> None:
    logger.warning("skipping %s among the manifests: %s", error.filename, error.strerror)


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """Where a model's manifest is, and what tells whether it changed. `modified_ns` is nanoseconds since 1970."""

    name: ModelName
    path: Path
    modified_ns: int
    size_bytes: int
    inode: int = 0


class ManifestFolder:
    """Finds, writes and removes manifest files; knows nothing of what is in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, unreadable: OnError = _skip) -> Iterator[ManifestFile]:
        """Every manifest file under a valid name, in no order. `unreadable` hears of what cannot be looked at; it may raise."""
        for entry, parts in self._leaves(unreadable):
            name = ModelName(*parts)
            if not name.is_valid:
                if not entry.name.startswith(_TEMPORARY_PREFIX):
                    logger.warning("skipping manifest %r, which is no model name", "/".join(parts))
                continue
            try:
                yield _describe(name, Path(entry.path))
            except FileNotFoundError:
                continue  # removed meanwhile
            except OSError as error:
                unreadable(error)

    def find(self, name: ModelName) -> ManifestFile | None:
        """The file of that name; letter case counts only where two names differ in nothing else.

        Raises `LoadFailed` when the disk does not tell whether there is one.
        """
        path = self.folder.joinpath(*name.parts)
        try:
            if path.is_file():
                return _describe(name, path)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise LoadFailed(f"the manifest of '{name.shortest}' cannot be read: {error.strerror}") from error
        spelling = self._spelling(name)
        if spelling is None:
            return None
        with suppress(FileNotFoundError):
            return _describe(spelling, self.folder.joinpath(*spelling.parts))
        return None

    def find_in_repository(self, namespace: str, model: str, tag: str) -> ManifestFile | None:
        """The file that a registry's `namespace/model:tag` means: of the default host, else of the only host that has it."""
        found = self.find(ModelName(DEFAULT_HOST, namespace, model, tag))
        if found is not None:
            return found
        hosts = [entry.name for entry in _children(self.folder, folders=True)]
        names = [name for host in hosts if (name := ModelName(host, namespace, model, tag)).is_valid]
        others = [file for name in names if (file := self.find(name)) is not None]
        return others[0] if len(others) == 1 else None

    def write(self, name: ModelName, data: bytes) -> ManifestFile:
        """Install or replace, safe against a power cut. Call it under `locked`.

        Raises `StorageFull`, `InvalidModelName` when the disk takes no name of that length.
        """
        path = self.folder.joinpath(*name.parts)
        with reporting_full_disk(), _reporting_long_names():
            disk.make_folder(path.parent)
            file, temporary = disk.create(path.parent, _TEMPORARY_PREFIX)
            try:
                with file:
                    disk.write(file, data)
                    os.fchmod(file.fileno(), 0o644)
                    disk.sync(file.fileno())
                disk.rename(temporary, path)
            finally:
                disk.remove(temporary)
            for folder in path.parents[:4]:
                disk.sync_folder(folder)
        return _describe(name, path)

    def remove(self, file: ManifestFile) -> None:
        """Remove the file, for good, and the folders it leaves empty. Call it under `locked`.

        The name is gone from the disk before anything that it needed: a power cut leaves no name without its blobs.
        """
        with reporting_full_disk():
            disk.remove(file.path)
            disk.sync_folder(file.path.parent)
        self._remove_empty(file.path.parent)

    def sweep(self, now: float) -> None:
        """Remove unfinished files older than an hour and empty folders. Call it under `locked`."""
        for entry, _ in list(self._leaves()):
            if entry.name.startswith(_TEMPORARY_PREFIX) and now - entry.stat().st_mtime > _SWEEP_AGE_SECONDS:
                disk.remove(Path(entry.path))
        for folder, _, _ in os.walk(self.folder, topdown=False):
            self._remove_empty(Path(folder))

    @contextmanager
    def locked(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the store's lock, across processes and threads: shared to add, exclusive to take away. Blocks.

        So no blob vanishes between a writer's look at it and the manifest that names it.
        """
        with reporting_full_disk():
            disk.make_folder(self.folder)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def _leaves(self, unreadable: OnError = _skip) -> Iterator[tuple[os.DirEntry[str], tuple[str, str, str, str]]]:
        """Files exactly four levels down, with their four names."""
        for host in _children(self.folder, unreadable, folders=True):
            for namespace in _children(host.path, unreadable, folders=True):
                for model in _children(namespace.path, unreadable, folders=True):
                    for tag in _children(model.path, unreadable, folders=False):
                        yield tag, (host.name, namespace.name, model.name, tag.name)

    def _spelling(self, name: ModelName) -> ModelName | None:
        """The installed name that differs from `name` in letter case only."""
        found: list[tuple[str, ...]] = [()]
        for depth, part in enumerate(name.folded.parts):
            found = [
                (*parents, entry.name)
                for parents in found
                for entry in _children(self.folder.joinpath(*parents), folders=depth < 3)
                if entry.name.casefold() == part
            ]
        return ModelName(*min(found)) if found else None

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.folder and self.folder in folder.parents:
            if not disk.remove_folder(folder):
                return
            folder = folder.parent


def _children(folder: str | Path, unreadable: OnError = _skip, *, folders: bool) -> list[os.DirEntry[str]]:
    """Folders or files in a folder; none when it is not there."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if _is_wanted(entry, unreadable, folders=folders)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        unreadable(error)
        return []


def _is_wanted(entry: os.DirEntry[str], unreadable: OnError, *, folders: bool) -> bool:
    """Whether it is a folder, or a file. A link that leads nowhere is neither; one that cannot be followed is told of."""
    try:
        return entry.is_dir() if folders else entry.is_file()
    except OSError as error:
        unreadable(error)
        return False


@contextmanager
def _reporting_long_names() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InvalidModelName("the model name is longer than the disk of the model store takes") from error


def _describe(name: ModelName, path: Path) -> ManifestFile:
    status = path.stat()
    return ManifestFile(name, path, status.st_mtime_ns, status.st_size, status.st_ino)
