"""A registry that misbehaves, a store to pull into, and a config with short deadlines."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from llmsite.registry.config import RegistryConfig
from llmsite.registry.pull import pull
from llmsite.registry.push import push
from llmsite.store.digest import hash_file
from llmsite.store.model import ModelStore
from llmsite.types.chunk import Progress
from llmsite.types.limits import KIB, Limits
from llmsite.types.name import ModelName
from tests.registry.fake_registry import FakeRegistry, running_registry

LIMITS = Limits(
    pull_connect_seconds=2,
    pull_first_byte_seconds=0.5,
    pull_idle_seconds=0.5,
    pull_rate_seconds=0.4,
    pull_rate_bytes=64,
    pull_backoff_seconds=0.001,
    pull_retries=3,
    pull_part_bytes=64 * KIB,
    pull_record_bytes=16 * KIB,
    push_part_bytes=100 * KIB,
)


@dataclass
class Client:
    """Pulls and pushes for tests; `frames` is what was reported."""

    root: Path
    config: RegistryConfig
    frames: list[Progress] = field(default_factory=list)

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.root / "models", self.config.limits)

    @property
    def statuses(self) -> list[str]:
        """The status lines, each once."""
        return list(dict.fromkeys(frame.status for frame in self.frames))

    def pull(self, name: str, *, insecure: bool = True) -> None:
        pull(self.store, ModelName.parse(name), insecure=insecure, report=self.frames.append, check=_go_on, config=self.config)

    def push(self, name: str, *, insecure: bool = True) -> None:
        parsed = ModelName.parse_loosely(name)
        push(self.store, parsed, insecure=insecure, report=self.frames.append, check=_go_on, config=self.config)

    def require_clean(self) -> None:
        """Every blob is what its name says and nothing unfinished lies about."""
        folder = self.root / "models" / "blobs"
        for path in folder.iterdir() if folder.exists() else ():
            assert "-partial" not in path.name, path.name
            assert not path.name.startswith("upload-"), path.name
            require_right(path)


def require_right(path: Path) -> None:
    with path.open("rb") as file:
        assert hash_file(file).replace(":", "-") == path.name


def _go_on() -> None:
    return


def random_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running_registry() as running:
        yield running


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path, RegistryConfig(home=tmp_path / "home", limits=LIMITS))
