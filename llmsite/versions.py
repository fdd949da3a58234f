"""Which versions of the libraries that a site's safety rests on are here, and which are needed at least.

The floors of libraries are those of pyproject.toml, read from the installed package. SQLite comes with Python, so its floor is
wished for and not demanded.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Final

SQLITE_FLOOR: Final = "3.51.3"
"""From here on a writer cannot reset the write-ahead log under a reader."""
_WATCHED: Final = ("Django", "daphne", "Pillow", "huggingface-hub", "llama-cpp-python", "redis")
_REQUIREMENT: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?(?P<bounds>[^;]*)")
_FLOOR: Final = re.compile(r"(?:>=|==)\s*(?P<version>[0-9.]+)")


@dataclass(frozen=True, slots=True)
class Version:
    """A library that is here. `is_old`: older than it has to be, or in the case of SQLite than it should."""

    name: str
    found: str
    floor: str
    is_demanded: bool = True

    @property
    def is_old(self) -> bool:
        return _numbers(self.found) < _numbers(self.floor)


def list_versions() -> list[Version]:
    """The watched libraries that are installed, and SQLite."""
    floors = read_floors(metadata.requires("llmsite") or ())
    found = [Version(name, version, floors.get(_plain(name), "0")) for name in _WATCHED if (version := _version_of(name))]
    return [*found, Version("SQLite", sqlite3.sqlite_version, SQLITE_FLOOR, is_demanded=False)]


def read_floors(requirements: Iterable[str]) -> dict[str, str]:
    """Least version by library, from lines such as `django<5.3,>=5.2.17`."""
    floors: dict[str, str] = {}
    for line in requirements:
        match = _REQUIREMENT.match(line)
        floor = _FLOOR.search(match["bounds"]) if match else None
        if match and floor:
            floors[_plain(match["name"])] = floor["version"]
    return floors


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
