"""A disk that can lose its power: follows what the store does to the real one, and tells what may be left after a cut.

What was not synced may be missing, short, zeroed or whole; names made or removed since their folder was synced may be there or
not, in any combination, since nothing but `sync_folder` orders them. A rename is one step. Only what `llmsite/store/disk.py` does
is followed, so the store has to do everything through it.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from llmsite.store import disk

MAX_FREE = 7
"""So many unordered changes are tried in every combination; beyond, each alone, each left out, and every beginning."""

Tree = dict[str, Any]
"""A folder after the cut: names to bytes or to trees."""


@dataclass(eq=False)
class File:
    data: bytes = b""
    synced: bytes | None = None

    def variants(self) -> list[bytes]:
        """What may be read from it after a cut."""
        if self.synced == self.data:
            return [self.data]
        return [self.synced or b"", self.data[: len(self.data) // 2], b"\0" * len(self.data), self.data]


@dataclass(eq=False)
class Folder:
    """`durable` are the names as last synced, `pending` the changes since; None means that a name goes."""

    durable: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[dict[str, File | Folder | None]] = field(default_factory=list)

    def entries(self) -> dict[str, File | Folder]:
        return _apply(self.durable, self.pending)


def _apply(durable: dict[str, Any], changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = dict(durable)
    for change in changes:
        found |= change
    return {name: node for name, node in found.items() if node is not None}


class CrashDisk:
    """Follows the store below `root`. `states` holds the disk as it was after each step."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.states: list[Folder] = []
        self.steps: list[str] = []
        self._top = self._scan(root)
        self._files: dict[int, File] = {}
        self._number(root, self._top)
        self._note("start")
        for name in ("create", "write", "truncate", "sync", "rename", "remove", "remove_folder", "sync_folder", "make_folder"):
            patch.setattr(disk, name, getattr(self, f"_{name}")(getattr(disk, name)))

    def _scan(self, path: Path) -> Folder:
        """What is there already has been there for long: it is durable."""
        entries: dict[str, File | Folder] = {}
        for each in path.iterdir():
            data = b"" if each.is_dir() else each.read_bytes()
            entries[each.name] = self._scan(each) if each.is_dir() else File(data, data)
        return Folder(entries)

    def _number(self, path: Path, folder: Folder) -> None:
        for name, node in folder.entries().items():
            if isinstance(node, Folder):
                self._number(path / name, node)
            else:
                self._files[(path / name).stat().st_ino] = node

    def _folder(self, path: Path) -> Folder:
        folder = self._top
        for part in path.relative_to(self.root).parts:
            node = folder.entries()[part]
            assert isinstance(node, Folder)
            folder = node
        return folder

    def _note(self, step: str) -> None:
        self.steps.append(step)
        self.states.append(copy.deepcopy(self._top))

    # what the store calls

    def _create(self, act: Any) -> Any:
        def create(folder: Path, prefix: str) -> tuple[FileIO, Path]:
            file, path = act(folder, prefix)
            node = self._files[os.fstat(file.fileno()).st_ino] = File()
            self._folder(folder).pending.append({path.name: node})
            self._note("create")
            return file, path

        return create

    def _write(self, act: Any) -> Any:
        def write(file: FileIO, data: bytes) -> None:
            act(file, data)
            node = self._files[os.fstat(file.fileno()).st_ino]
            node.data = node.data[: file.tell() - len(data)] + data
            self._note("write")

        return write

    def _truncate(self, act: Any) -> Any:
        def truncate(file: FileIO, size: int) -> None:
            act(file, size)
            node = self._files[os.fstat(file.fileno()).st_ino]
            node.data = node.data[:size]
            self._note("truncate")

        return truncate

    def _sync(self, act: Any) -> Any:
        def sync(descriptor: int) -> None:
            act(descriptor)
            node = self._files[os.fstat(descriptor).st_ino]
            node.synced = node.data
            self._note("sync")

        return sync

    def _rename(self, act: Any) -> Any:
        def rename(source: Path, target: Path) -> None:
            act(source, target)
            assert source.parent == target.parent, "only renames within a folder are one step"
            folder = self._folder(source.parent)
            folder.pending.append({target.name: folder.entries()[source.name], source.name: None})
            self._note("rename")

        return rename

    def _remove(self, act: Any) -> Any:
        def remove(path: Path) -> None:
            was_there = os.path.lexists(path)
            act(path)
            if was_there:
                self._folder(path.parent).pending.append({path.name: None})
                self._note("remove")

        return remove

    def _remove_folder(self, act: Any) -> Any:
        def remove_folder(path: Path) -> bool:
            is_gone: bool = act(path)
            if is_gone:
                self._folder(path.parent).pending.append({path.name: None})
                self._note("remove folder")
            return is_gone

        return remove_folder

    def _sync_folder(self, act: Any) -> Any:
        def sync_folder(path: Path) -> None:
            act(path)
            if not path.is_relative_to(self.root):
                return
            folder = self._folder(path)
            folder.durable, folder.pending = folder.entries(), []
            self._note("sync folder")

        return sync_folder

    def _make_folder(self, act: Any) -> Any:
        def make_folder(path: Path) -> None:
            missing = [each for each in (path, *path.parents) if not each.exists()]
            for each in reversed(missing):
                each.mkdir()
                self._folder(each.parent).pending.append({each.name: Folder()})
                self._note("make folder")
                disk.sync_folder(each.parent)

        return make_folder


def images(state: Folder) -> Iterator[Tree]:
    """Every disk that a cut may leave of `state`, each once."""
    seen: set[str] = set()
    for kept in _choices(len(list(_changes(state)))):
        for variant in range(4):
            tree = _tree(state, dict(zip((id(change) for change in _changes(state)), kept, strict=True)), variant)
            if (key := repr(tree)) not in seen:
                seen.add(key)
                yield tree


def _changes(folder: Folder) -> Iterator[dict[str, Any]]:
    """All changes that no sync has ordered yet, in folders that are there or may be."""
    yield from folder.pending
    nodes = [*folder.durable.values(), *(node for change in folder.pending for node in change.values())]
    for node in {id(node): node for node in nodes if isinstance(node, Folder)}.values():
        yield from _changes(node)


def _choices(count: int) -> Iterator[tuple[bool, ...]]:
    if count <= MAX_FREE:
        yield from itertools.product((False, True), repeat=count)
        return
    for length in range(count + 1):
        yield tuple(place < length for place in range(count))
    for one in range(count):
        yield tuple(place == one for place in range(count))
        yield tuple(place != one for place in range(count))


def _tree(folder: Folder, kept: dict[int, bool], variant: int) -> Tree:
    entries = _apply(folder.durable, [change for change in folder.pending if kept[id(change)]])
    tree: Tree = {}
    for name, node in sorted(entries.items()):
        if isinstance(node, Folder):
            tree[name] = _tree(node, kept, variant)
        else:
            variants = node.variants()
            tree[name] = variants[min(variant, len(variants) - 1)]
    return tree


def materialise(tree: Tree, path: Path) -> None:
    """Lay the disk of an image out at `path`."""
    path.mkdir()
    for name, node in tree.items():
        if isinstance(node, dict):
            materialise(node, path / name)
        else:
            (path / name).write_bytes(node)
